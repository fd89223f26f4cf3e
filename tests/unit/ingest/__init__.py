"""Tests of the ingest daemon."""
