"""What a command of the pipeline shares with its supervisor: specs, results, the channel, the environment."""

__all__ = [
    "checkpoint_manifest",
    "child",
    "disk_full",
    "environment",
    "huggingface_env",
    "progress",
    "results",
    "specs",
    "tar",
]
