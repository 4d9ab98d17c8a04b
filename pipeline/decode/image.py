"""One image: decoded once to prove that it can be, and converted to PNG where trainers would read it differently.

What is validated here is what the trainers read: they use OpenCV (ultralytics) and Pillow. The structure of the file
is checked beside the decode; only what is suspect is read by OpenCV as well, or decoded a second time.
"""

import io
import warnings
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError

from core.domain import limits
from pipeline.decode import first_bytes, jpeg_structure, opencv, png_structure
from pipeline.decode.eight_bits import (
    MAX_BITS,
    depth_of,
    depth_of_values,
    has_sixteen_bits,
    in_eight_bits,
    is_nearly_black,
    shifted,
)
from pipeline.decode.exif import ORIENTATION_TAG, orientation_of, stated_orientation
from pipeline.decode.image_facts import SUFFIXES, ImageFacts
from pipeline.decode.phash import phash_of, phashes_of_crops
from pipeline.decode.quality import quality_of

# Pillow's plugins that may open a file (JPEG's opens MPO); not PSD, EPS (runs Ghostscript) and other rare ones.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "JPEG2000", "AVIF", "PPM")
MIN_SIDE = 10  # ultralytics leaves smaller images out without an error (data/utils.py, check_image)

# The rules by which an image is inspected, raised whenever the same bytes give other facts, and what decodes it.
DECODER = f"1, Pillow {PIL.__version__}"

_DRAFT_SIDE = 32  # pixels that a scaled decode leaves at least, where the image has them: enough for the hash
_OPENCV_SIDE = 1 << 20  # pixels: OpenCV reads no wider or higher image


class Inspection(NamedTuple):
    """`content`: the bytes that decoders read, which are the file's own unless it had to be restored."""

    facts: ImageFacts
    content: bytes


def inspect(content: bytes) -> ImageFacts:
    """Decode the whole image once. Never raises, whatever the file contains.

    JPEGs are decoded at an eighth of their size (small ones at less): the whole entropy stream is read at a third of
    the cost, and the result is large enough for the perceptual hash.
    """
    return _inspection(content).facts


def inspect_and_convert(content: bytes, *, bits: int = 0) -> tuple[ImageFacts, bytes | None]:
    """The same, and the PNG of an image that trainers would read differently. Never raises, whatever the file contains.

    That it cannot be converted is a problem of the image as well, and is found before the dataset is accepted.
    `bits`: of the values of an image with more than 8 bits per channel, else those of its own values.
    """
    facts, content = _inspection(content)
    if facts.bits:
        facts = facts._replace(bits=bits or facts.bits)
    if facts.problem or not facts.convert:
        return facts, None
    try:
        png = convert(content, bits=facts.bits)
    except Exception as error:  # noqa: BLE001 - as below; a JPEG is decoded in full size here for the first time
        return facts._replace(problem=_problem_of(error, content)), None
    if len(png) > limits.MAX_IMAGE_BYTES:
        detail = f"As PNG it has {len(png)} bytes; at most {limits.MAX_IMAGE_BYTES} are accepted."
        return facts._replace(problem=("image-too-large", detail)), None
    if facts.is_deep:
        plain = Image.open(io.BytesIO(png))
        facts = _measured(facts, plain.convert("L"))._replace(dark=is_nearly_black(plain))
    return facts, png


def convert(content: bytes, *, bits: int = 0) -> bytes:
    """The image as an upright 8-bit PNG: first frame, CMYK as RGB, more than 8 bits reduced to 8 (`in_eight_bits`)."""
    Image.MAX_IMAGE_PIXELS = None
    with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        warnings.simplefilter("ignore")
        image.seek(0)
        image.load()
        plain = _plain_colours(image, content, bits) or in_eight_bits(ImageOps.exif_transpose(image), bits)
    plain.info.clear()  # no EXIF: the pixels are upright now
    png = io.BytesIO()
    plain.save(png, "PNG")
    return png.getvalue()


def hash_crops(content: bytes) -> bytes:
    """`phashes_of_crops` of an image that `inspect` has accepted; empty where it cannot be decoded."""
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            warnings.simplefilter("ignore")
            if image.format == "JPEG":
                image.draft(None, (max(image.width // 8, _DRAFT_SIDE), max(image.height // 8, _DRAFT_SIDE)))
            image.load()
            small = image.convert("L") if _is_shallow(image) else image
            return phashes_of_crops(small, orientation_of(image))
    except Exception:  # noqa: BLE001 - decoders raise anything; the hash of the whole image is known without it
        return b""


def open_upright(content: bytes, *, at_least: tuple[int, int]) -> Image.Image:
    """The image as 8-bit RGB with its EXIF rotation applied; a JPEG may be smaller, but not below `at_least`."""
    Image.MAX_IMAGE_PIXELS = None
    with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        warnings.simplefilter("ignore")
        if image.format == "JPEG":
            side = max(at_least)  # whichever way it is turned
            image.draft(None, (side, side))
        return in_eight_bits(ImageOps.exif_transpose(image)).convert("RGB")


def _inspection(content: bytes) -> Inspection:
    if not content:
        return Inspection(ImageFacts(problem=("image-empty", "The file has no bytes.")), content)
    Image.MAX_IMAGE_PIXELS = None  # checked below, before a pixel is decoded
    try:
        return _inspect(content)
    except Exception as error:  # noqa: BLE001 - decoders raise anything for hostile bytes, and all of it means unreadable
        problem = _problem_of(error, content)
    try:
        if restored := _restored_png(content):
            return restored
    except Exception:  # noqa: BLE001, S110 - as above: what the file itself raised is the problem to report
        pass
    return Inspection(ImageFacts(problem=problem), content)


def _is_shallow(image: Image.Image) -> bool:
    return not (image.mode.startswith("I") or image.mode == "F")


def _measured(facts: ImageFacts, grey: Image.Image, *, is_scaled: bool = False) -> ImageFacts:
    brightness, blur = quality_of(grey, is_scaled=is_scaled)
    return facts._replace(brightness=brightness, blur=blur)


def _problem_of(error: Exception, content: bytes) -> tuple[str, str]:
    if isinstance(error, MemoryError):
        return "image-too-large", "Decoding the image takes more memory than is allowed."
    if isinstance(error, UnidentifiedImageError) or first_bytes.is_apple_png(content):
        return "image-unreadable", first_bytes.describe(content) or "The file is not an image in a supported format."
    detail = " ".join(str(error).split())[:300] or type(error).__name__
    code = "image-truncated" if "truncated" in detail.lower() else "image-unreadable"
    return code, f"The image cannot be decoded: {detail}."


def _inspect(content: bytes) -> Inspection:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        facts = ImageFacts(width, height, image.format or "", image.mode)
        if problem := _problem_of_header(image, content):
            return Inspection(facts._replace(problem=problem), content)
        frames = int(getattr(image, "n_frames", 1))
        if facts.format == "JPEG":
            if not content.endswith(jpeg_structure.END):
                return _inspect_odd_end(content)
            image.draft(None, (max(width // 8, _DRAFT_SIDE), max(height // 8, _DRAFT_SIDE)))
        image.load()
        orientation = orientation_of(image)
        facts = facts._replace(orientation=orientation, frames=frames)
        if _is_shallow(image):
            grey = image.convert("L")
            facts = _measured(facts._replace(phash=phash_of(grey, orientation)), grey, is_scaled=facts.format == "JPEG")
        else:  # measured once its values are reduced to 8 bits
            facts = facts._replace(phash=phash_of(image, orientation))
        facts = _with_depth(facts, image, content)
        if facts.format == "PNG" and (odd := png_structure.oddity(content)):
            restored = png_structure.restored(content)
            if restored is None:
                detail = f"The image cannot be decoded by all readers: it has {odd}."
                return Inspection(facts._replace(problem=("image-unreadable", detail)), content)
            return Inspection(facts._replace(odd=odd, rewrite=True), restored)
        return Inspection(_compared(facts, image, content), content)


def _problem_of_header(image: Image.Image, content: bytes) -> tuple[str, str] | None:
    width, height = image.size
    if image.format == "TIFF" and (raw := first_bytes.camera_raw(content)):
        return "image-unreadable", raw
    if width * height > limits.MAX_IMAGE_PIXELS:
        return "image-too-large", f"{width} x {height} pixels; at most {limits.MAX_IMAGE_PIXELS} are accepted."
    if min(width, height) < MIN_SIDE:
        return "image-too-small", f"{width} x {height} pixels; each side must have at least {MIN_SIDE}."
    return None


def _inspect_odd_end(content: bytes) -> Inspection:
    """A JPEG whose last bytes are not its end marker: ultralytics would write such a file anew, where it lies."""
    end = jpeg_structure.end_of(content)
    if end is not None:
        facts, whole = _inspect(content[:end])
        count = len(content) - end
        some = "1 byte" if count == 1 else f"{count} bytes"
        return Inspection(facts._replace(end=end, odd=f"{some} behind its end marker"), whole)
    completed = jpeg_structure.with_end(content)
    if completed is None:
        detail = "The image file ends too early: part of the JPEG's data is missing."
        return Inspection(ImageFacts(problem=("image-truncated", detail)), content)
    facts, whole = _inspect(completed)
    return Inspection(facts._replace(odd="no end marker", rewrite=True), whole)


def _restored_png(content: bytes) -> Inspection | None:
    """A PNG that Pillow does not open because a chunk that has nothing to do with its pixels is damaged."""
    odd = png_structure.oddity(content) if content.startswith(png_structure.SIGNATURE) else ""
    restored = png_structure.restored(content) if odd else None
    if restored is None:
        return None
    facts, restored = _inspect(restored)
    return Inspection(facts._replace(odd=odd, rewrite=True), restored)


def _with_depth(facts: ImageFacts, image: Image.Image, content: bytes) -> ImageFacts:
    """`bits` and `dark` of an image with more than 8 bits per channel."""
    if facts.mode.startswith("I"):
        return facts._replace(bits=depth_of(image))
    if not has_sixteen_bits(image, content):
        return facts
    # Pillow keeps the high byte of each channel.
    bits = depth_of_values(np.asarray(image.convert("RGB")), lost_bits=8)
    return facts._replace(bits=bits, dark=is_nearly_black(image))


def _compared(facts: ImageFacts, image: Image.Image, content: bytes) -> ImageFacts:
    """`rewrite` where OpenCV reads something else, or another orientation than Pillow's is the common one."""
    if facts.convert or facts.format not in SUFFIXES:
        return facts
    stated = stated_orientation(image.info.get("exif"))
    if stated is not None and stated != facts.orientation:
        return facts._replace(odd="an orientation in XMP alone, which only some readers apply", rewrite=True)
    if stated is not None and not _is_rare(image, content):
        return facts
    upright = ImageOps.exif_transpose(image) if facts.orientation != 1 else image
    if opencv.reads_as(content, upright, facts.upright):
        return facts
    return facts._replace(odd="a rare form of its format, which OpenCV reads differently or not at all", rewrite=True)


def _is_rare(image: Image.Image, content: bytes) -> bool:
    """Whether it is coded in a way in which decoders are known to differ."""
    if max(image.size) > _OPENCV_SIDE:
        return True
    if image.format in ("JPEG", "MPO"):
        return not jpeg_structure.is_common(content)
    if image.format == "BMP":  # plain 24 bits or a palette of 256 colours, with the header of Windows
        header, depth, compression = content[14:18], content[28:30], content[30:34]
        return header != b"\x28\0\0\0" or depth not in (b"\x18\0", b"\x08\0") or compression != bytes(4)
    if image.format == "WEBP":
        return int.from_bytes(content[4:8], "little") + 8 != len(content)
    return False


def _plain_colours(image: Image.Image, content: bytes, bits: int) -> Image.Image | None:
    """An image of less than 16 bits in each of several channels, which Pillow reduces to their high bytes."""
    if image.mode.startswith("I") or not 0 < bits < MAX_BITS:
        return None
    deep = opencv.deep_pixels(content)
    if deep is None or deep.shape[1::-1] != image.size:
        return None
    plain = Image.fromarray(shifted(deep, bits))
    plain.getexif()[ORIENTATION_TAG] = orientation_of(image)
    return ImageOps.exif_transpose(plain)
