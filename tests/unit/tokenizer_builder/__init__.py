"""Tests of the tokenizer-builder."""
