"""What the gateway decides, as functions of values: who goes to which bundle, what a cache key is, which fault applies."""
