"""One image: decoded once to prove that it can be, and converted to PNG where trainers would read it differently."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from core.domain import limits
from pipeline.decode.image_facts import ImageFacts
from pipeline.decode.phash import phash_of

# Pillow's plugins that may open a file (JPEG's opens MPO); not PSD, EPS (runs Ghostscript) and other rare ones.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "JPEG2000", "AVIF", "PPM")
MIN_SIDE = 10  # ultralytics leaves smaller images out without an error (data/utils.py, check_image)

_DRAFT_SIDE = 32  # pixels that a scaled decode leaves at least, where the image has them: enough for the hash
_ROWS = 256  # of a deep image, converted to 8 bits at once
_ORIENTATION = 274  # the EXIF tag; 2 to 8 turn or mirror, any other value (0 and 65537 occur) means nothing


def inspect(content: bytes) -> ImageFacts:
    """Decode the whole image once. Never raises, whatever the file contains.

    JPEGs are decoded at an eighth of their size (small ones at less): the whole entropy stream is read at a third of
    the cost, and the result is large enough for the perceptual hash.
    """
    if not content:
        return ImageFacts(problem=("image-empty", "The file has no bytes."))
    Image.MAX_IMAGE_PIXELS = None  # checked below, before a pixel is decoded
    try:
        return _inspect(content)
    except Exception as error:  # noqa: BLE001 - decoders raise anything for hostile bytes, and all of it means unreadable
        return ImageFacts(problem=_problem_of(error))


def inspect_and_convert(content: bytes) -> tuple[ImageFacts, bytes | None]:
    """The same, and the PNG of an image that trainers would read differently. Never raises, whatever the file contains.

    That it cannot be converted is a problem of the image as well, and is found before the dataset is accepted.
    """
    facts = inspect(content)
    if facts.problem or not facts.convert:
        return facts, None
    try:
        png = convert(content)
    except Exception as error:  # noqa: BLE001 - as above; a JPEG is decoded in full size here for the first time
        return facts._replace(problem=_problem_of(error)), None
    if len(png) > limits.MAX_IMAGE_BYTES:
        detail = f"As PNG it has {len(png)} bytes; at most {limits.MAX_IMAGE_BYTES} are accepted."
        return facts._replace(problem=("image-too-large", detail)), None
    return facts, png


def _problem_of(error: Exception) -> tuple[str, str]:
    if isinstance(error, MemoryError):
        return "image-too-large", "Decoding the image takes more memory than is allowed."
    if isinstance(error, UnidentifiedImageError):
        return "image-unreadable", "The file is not an image in a supported format."
    detail = " ".join(str(error).split())[:300] or type(error).__name__
    code = "image-truncated" if "truncated" in detail.lower() else "image-unreadable"
    return code, f"The image cannot be decoded: {detail}."


def _inspect(content: bytes) -> ImageFacts:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        facts = ImageFacts(width, height, image.format or "", image.mode)
        if width * height > limits.MAX_IMAGE_PIXELS:
            detail = f"{width} x {height} pixels; at most {limits.MAX_IMAGE_PIXELS} are accepted."
            return facts._replace(problem=("image-too-large", detail))
        if min(width, height) < MIN_SIDE:
            detail = f"{width} x {height} pixels; each side must have at least {MIN_SIDE}."
            return facts._replace(problem=("image-too-small", detail))
        frames = int(getattr(image, "n_frames", 1))
        if facts.format == "JPEG":
            image.draft(None, (max(width // 8, _DRAFT_SIDE), max(height // 8, _DRAFT_SIDE)))
        image.load()
        orientation = _orientation(image)
        return facts._replace(orientation=orientation, frames=frames, phash=phash_of(image, orientation))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken EXIF does not make the pixels unusable; it is ignored
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def open_upright(content: bytes, *, at_least: tuple[int, int]) -> Image.Image:
    """The image as 8-bit RGB with its EXIF rotation applied; a JPEG may be smaller, but not below `at_least`."""
    Image.MAX_IMAGE_PIXELS = None
    with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        warnings.simplefilter("ignore")
        if image.format == "JPEG":
            side = max(at_least)  # whichever way it is turned
            image.draft(None, (side, side))
        return _to_eight_bits(ImageOps.exif_transpose(image)).convert("RGB")


def convert(content: bytes) -> bytes:
    """The image as an upright 8-bit PNG: first frame, 16 bits scaled to 8, CMYK as RGB."""
    Image.MAX_IMAGE_PIXELS = None
    with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        warnings.simplefilter("ignore")
        image.seek(0)
        upright = ImageOps.exif_transpose(image)
        plain = _to_eight_bits(upright)
        plain.info.clear()  # no EXIF: the pixels are upright now
        png = io.BytesIO()
        plain.save(png, "PNG")
        return png.getvalue()


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """16-bit values keep their high byte, as in OpenCV; other ranges have no defined white, and are stretched."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        low, high = float(values.min()), float(values.max())
        sixteen = image.mode != "F" and low >= 0 and high <= 65535
        scaled = np.empty(values.shape, np.uint8)
        for at in range(0, len(values), _ROWS):  # 64-bit numbers of all of it would have eight times its size
            rows = values[at : at + _ROWS].astype(np.float64)
            scaled[at : at + _ROWS] = rows / 256 if sixteen else (rows - low) * (255 / max(high - low, 1e-9))
        return Image.fromarray(scaled)
    return image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
