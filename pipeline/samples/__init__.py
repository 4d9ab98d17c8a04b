"""Drawn sample data: labelled images that anybody may use, the same from the same seed."""
