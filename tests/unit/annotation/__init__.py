"""Tests of annotation rounds."""
