"""Fits a tokenizer to each corpus version: the serving one while it still covers the new text, else a new one.

Consumes `corpus-versioned`, reads `release-changed`, publishes `tokenizer-ready`. Idempotency key: the corpus event's id; a
finished run only publishes again.
"""
