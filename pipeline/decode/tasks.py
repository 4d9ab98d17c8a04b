"""The tasks of decoding processes: functions from a byte range of an archive to bytes."""

from pipeline.archive.byte_range import ByteRange
from pipeline.decode.image import inspect_and_convert
from pipeline.decode.image_facts import pack


def inspect(byte_range: ByteRange) -> bytes:
    """The facts of an image, and the PNG of one that trainers would read differently. See `image_facts.unpack`."""
    return pack(*inspect_and_convert(byte_range.read()))


def inspect_only(byte_range: ByteRange) -> bytes:
    """The same facts, among them whether the image can be converted, without the PNG."""
    facts, _ = inspect_and_convert(byte_range.read())
    return pack(facts, None)
