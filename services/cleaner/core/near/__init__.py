"""Near-duplicates: sketches of texts, a guard against differences in law, an incremental index, and who wins."""
