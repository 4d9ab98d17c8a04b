"""The commands, a noun a file: each registers its own with `add_to`."""
