"""Files that are images to people and to no reader of ours: raw files of cameras, layers, drawings, videos."""

from collections.abc import Iterable

from pipeline.archive.entry_names import bare_of, base_of, suffix_of

_RAW = "a raw file of a camera: develop it to JPEG or PNG"
_LAYERS = "a document of layers: export it as PNG"
_DRAWING = "a drawing of vectors: export it as PNG, in the size that the boxes refer to"
_VIDEO = "a video: save the frames that are labelled as JPEG or PNG"
_KINDS = {
    **dict.fromkeys(
        (
            *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "kdc", "mef", "mos", "mrw", "nef"),
            *("nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
        ),
        _RAW,
    ),
    **dict.fromkeys(("psd", "psb", "xcf", "kra", "ai", "sketch"), _LAYERS),
    **dict.fromkeys(("svg", "svgz", "eps", "emf", "wmf"), _DRAWING),
    **dict.fromkeys(
        ("mp4", "mov", "avi", "mkv", "webm", "m4v", "wmv", "mpg", "mpeg", "3gp", "flv", "mts", "m2ts"), _VIDEO
    ),
    **dict.fromkeys(("dcm", "dicom"), "a DICOM file: export it as PNG"),
    **dict.fromkeys(("exr", "hdr"), "an image of high dynamic range: export it as PNG"),
    **dict.fromkeys(("jxl", "jxr", "pdf", "ico", "tga"), "of a format that is not read: save it as JPEG or PNG"),
}


class UnreadImages:
    """By file name and by stem, among the files of an archive that are left out."""

    def __init__(self, left_out: Iterable[str]) -> None:
        self._by_name: dict[str, str] = {}
        for name in left_out:
            if unread_kind(name):
                self._by_name.setdefault(base_of(name), name)
                self._by_name.setdefault(bare_of(base_of(name)), name)

    def why(self, stated: str, own: str = "") -> str | None:
        """What the image of an annotation is, as a sentence with a remedy. `own`: the annotation's name without suffix.

        None where nothing shows that it is such a file.
        """
        base = base_of(stated.replace("\\", "/"))
        for name in filter(None, (base, bare_of(base), own)):
            if found := self._by_name.get(name):
                return f"{found} is {unread_kind(found)}, and correct the name in the annotation."
        if kind := unread_kind(base):
            return f"{base[:200]!r} is {kind}, and correct the name in the annotation."
        return None


def unread_kind(name: str) -> str | None:
    """What a file is by its name, and what to do, for a sentence; None for other files."""
    return _KINDS.get(suffix_of(name)[1:])
