"""Repairs a dataset: swaps, clips, scales and drops boxes, corrects sizes and names, leaves broken items out."""

__all__ = ["fixes", "rewrite_zip"]
