"""Tests of the relevance model."""
