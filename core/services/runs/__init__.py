"""A run: one training of a prepared dataset."""
