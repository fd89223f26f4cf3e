"""Tests of made texts."""
