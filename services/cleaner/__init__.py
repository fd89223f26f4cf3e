"""Owns the corpus: cleans batches into shards, recognises duplicates, cuts corpus versions, quarantines batches.

Consumes `batch-received`, `training-requested` and `release-changed`; publishes `batch-cleaned` and `corpus-versioned`.
Guarantee: a redelivered batch gives the same shard and the same event; a cut that was begun is completed at the next start.
"""
