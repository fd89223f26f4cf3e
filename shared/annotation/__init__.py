"""Annotation rounds: documents go out to a labelling tool, what people said comes back, checked."""
