"""The eight daemons; each starts with `uvicorn services.<name>.app:build --factory`."""
