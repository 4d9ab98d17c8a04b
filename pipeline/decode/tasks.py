"""The tasks of decoding processes: functions from a byte range of an archive to bytes."""

from typing import NamedTuple

from pipeline.archive.byte_range import ByteRange
from pipeline.decode.image import hash_crops, inspect_and_convert
from pipeline.decode.image_facts import pack


class ImageTask(NamedTuple):
    """`bits`: the depth that the values of the image are reduced from, if it has more than 8; 0: its own."""

    byte_range: ByteRange
    bits: int = 0


def inspect(task: ImageTask) -> bytes:
    """The facts of an image, and the PNG of one that trainers would read differently. See `image_facts.unpack`."""
    return pack(*inspect_and_convert(task.byte_range.read(), bits=task.bits))


def inspect_only(task: ImageTask) -> bytes:
    """The same facts, among them whether the image can be converted, without the PNG."""
    facts, _ = inspect_and_convert(task.byte_range.read(), bits=task.bits)
    return pack(facts, None)


def hash_crops_of(byte_range: ByteRange) -> bytes:
    """The hashes of an image and of its crops. See `phash.phashes_of_crops`."""
    return hash_crops(byte_range.read())
