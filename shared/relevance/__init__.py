"""How much a text looks like a domain's corpus, by a hashed character-trigram model."""
