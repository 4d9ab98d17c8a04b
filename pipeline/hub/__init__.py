"""Datasets of a Hugging Face hub, on local paths: which files to fetch, and a ZIP made of them."""

__all__ = ["card", "columns", "files", "folder_names", "patterns", "tables", "to_zip"]
