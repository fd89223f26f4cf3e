"""The language model: one decoder Transformer, its files and its serving form."""
