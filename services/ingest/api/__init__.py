"""Ingest's endpoints: whole batches, resumable uploads, and what a person decides on held batches."""
