"""The trainer: corpus version and tokenizer in, sealed bundle out."""
