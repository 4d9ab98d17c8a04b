"""From an uploaded ZIP to a prepared, fingerprinted set with its metadata and plots."""

__all__ = ["fingerprint", "gallery", "metadata", "preflight", "result", "run"]
