"""What Kibana shows of the telemetry store: data views and a dashboard as code, and the one-shot that loads them."""
