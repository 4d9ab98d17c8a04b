"""The image index of a prepared set: one row an image, in a SQLite file that is written once and read in place."""
