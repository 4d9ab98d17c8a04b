"""ZIP files: their directory is validated as a whole, then their data is extracted into one file."""

__all__ = ["byte_range", "disk_space", "entry_names", "extract", "plural", "source", "zip_directory", "zip_rules"]
