"""What the cleaner decides: how a text is cleaned, what a version holds, when it is cut, and what a rollback leaves out of it."""
