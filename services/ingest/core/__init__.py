"""What ingest decides without touching the world: records from bytes, batches from records, what a batch is like."""
