"""The commands of `python -m pipeline`, for people and for workers: arguments in, exit status and text out."""
