"""One training, whichever the trainer: its reporter, its checkpoints, the names of its failures."""

__all__ = ["checkpoint", "failures", "reporter", "run"]
