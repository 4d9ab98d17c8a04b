"""The versions of what computes a prediction, for certificates and receipts."""

from importlib import metadata

LIBRARIES = ("numpy", "pillow", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu", "openvino")


def library_versions() -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
