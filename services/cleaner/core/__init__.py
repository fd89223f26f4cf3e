"""What the cleaner decides: how a text is cleaned, when a version is cut, what a rollback puts into quarantine."""
