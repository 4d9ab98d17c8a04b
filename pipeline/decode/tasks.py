"""What decoding processes are asked to do: functions that need nothing imported here, and have it all there."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.archive.byte_range import ByteRange

Inspected = tuple[tuple[Any, ...], bytes | None]  # the fields of ImageFacts, and the PNG of what was written anew


def inspect_and_convert(byte_range: "ByteRange") -> Inspected:
    from pipeline.decode.image import inspect_and_convert as inspected

    facts, converted = inspected(byte_range.read())
    return tuple(facts), converted


def inspect_and_try(byte_range: "ByteRange") -> Inspected:
    """It is only seen whether the image can be written anew."""
    return inspect_and_convert(byte_range)[0], None


def connect(phashes: bytes) -> bytes:
    """The root of each, as 64-bit numbers of this machine."""
    from pipeline.decode.phash_index import roots_of

    return roots_of(phashes).tobytes()
