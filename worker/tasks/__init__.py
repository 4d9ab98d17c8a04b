"""What a worker does, one module per task or step: prepare, train, operations, housekeeping."""

__all__ = ["housekeeping", "operations", "prepare", "train"]
