"""The evaluation of a model version, or of an export of it, on a split of any prepared dataset of its kind."""
