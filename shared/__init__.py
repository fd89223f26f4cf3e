"""What all daemons need: bus, artifacts, telemetry, settings; the model and its serving form; the embedded mesh and the CLI."""
