"""Training without its surroundings: tensors and values in, weights and numbers out."""
