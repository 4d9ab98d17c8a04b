"""Datasets as they lie on a Hugging Face hub, on local paths: which files are wanted, and a ZIP made of them."""
