"""Image files inspected, converted and hashed in child processes: a hostile file costs its own image, not the job."""

__all__ = ["child", "image", "image_facts", "inspect_ahead", "phash", "pool", "process", "tasks"]
