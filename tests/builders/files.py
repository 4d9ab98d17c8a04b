"""Files and digests for the tests of object stores."""

import hashlib
from pathlib import Path


def file_of(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
