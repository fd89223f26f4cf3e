"""Near-duplicates: sketches of texts, an incremental index, and who wins."""
