"""Predictions of many images by an exported model, and the files that they are written to."""
