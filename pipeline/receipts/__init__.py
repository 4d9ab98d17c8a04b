"""Receipts: what a prediction was made of and what it answered, and the same prediction again, offline."""
