"""The neutral dataset model, its validation, its splits, and the comparison of two datasets."""

__all__ = [
    "boxes",
    "diff",
    "model",
    "near_duplicates",
    "predictions",
    "split",
    "split_leakage",
    "validate",
    "validated",
]
