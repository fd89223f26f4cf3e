"""Typo correction that is anchored at the terms of a lexicon: what is no slip of a known term stays as it is."""
