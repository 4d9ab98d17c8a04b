"""What a worker does, one module per task or step: prepare, train, housekeeping."""

__all__ = ["housekeeping", "prepare", "train"]
