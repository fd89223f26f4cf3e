"""How a tokenizer is built, measured and judged."""
