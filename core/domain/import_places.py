"""Places that datasets are imported from, as a request or a setting names them: prefixes of buckets, and folders."""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from core.domain.limits import MAX_NAME_BYTES

_BUCKET = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,62})(?:/(.*))?", re.DOTALL)


class BucketPrefix(NamedTuple):
    """`prefix`: without slashes at its ends; empty for the whole bucket."""

    bucket: str
    prefix: str

    def holds(self, other: "BucketPrefix") -> bool:
        """Whether `other` is this prefix or one below it: `data` holds `data/cats`, and not `database`."""
        below = other.prefix == self.prefix or not self.prefix or other.prefix.startswith(f"{self.prefix}/")
        return other.bucket == self.bucket and below

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def bucket_prefix(url: str) -> BucketPrefix:
    """Of `s3://bucket/prefix`. Raises ValueError."""
    match = _BUCKET.fullmatch(url)
    if match is None:
        raise ValueError("it must be s3://bucket/prefix")
    prefix = (match[2] or "").strip("/")
    if not {".", ".."}.isdisjoint(prefix.split("/")):  # which some stores resolve, to what another prefix has
        raise ValueError("the prefix must not have `.` or `..` as a part")
    if not prefix.isprintable() or len(prefix.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"the prefix must be printable and have at most {MAX_NAME_BYTES} bytes")
    return BucketPrefix(match[1], prefix)


def absolute_folder(path: str) -> Path:
    """Raises ValueError for a relative path, and for one with `..`. Reads no disk."""
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts or not path.isprintable():
        raise ValueError("it must be an absolute path without `..`")
    return Path("/", *pure.parts[1:])


def overlap(one: Path, other: Path) -> bool:
    """Whether one of two absolute paths is the other, or lies in it."""
    return one.is_relative_to(other) or other.is_relative_to(one)
