"""What the cleaner decides: how a text is cleaned, when a version is cut, what a rollback puts into quarantine.

Not in use yet, built and tested ahead for the corpus of a million documents: `near` (near-duplicates), `relevance`, `typos`,
`annotation` and `augmentation`.
"""
