"""The monitor: sees all telemetry and every lifecycle event, says what traffic and alerts are, and explains answers.

Consumes the OTLP topics and all lifecycle events; publishes `traffic-observed`, `alert-changed` and `training-requested`.
Decides from the stream of metrics, never from a store. A metric point that comes twice counts once.
"""
