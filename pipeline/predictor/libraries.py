"""The versions of what computes a prediction, for certificates and receipts."""

from contextlib import suppress
from functools import cache
from importlib import metadata

LIBRARIES = ("numpy", "pillow", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu", "openvino")


def library_versions() -> dict[str, str]:
    """Of those that are installed."""
    return dict(_versions())


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Read once: each takes a millisecond."""
    found = []
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found.append((name, metadata.version(name)))
    return tuple(found)
