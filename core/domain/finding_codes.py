"""Every code that a finding may have: what it means, what its owner does, and what a repair does about it.

`python -m core.domain.finding_codes` prints docs/findings.md.
"""

from collections.abc import Mapping
from typing import NamedTuple

from core.domain.findings import Severity

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
OUT = "the image is left out"
ENTRY_OUT = "left out"


class FindingCode(NamedTuple):
    """`repaired`: what `POST /jobs/{job_id}/repair` does; empty for nothing."""

    severity: Severity
    meaning: str
    remedy: str
    repaired: str = ""


_AGAIN = "Make the ZIP again from the folder."
_SHRINK = "Split the dataset."

ARCHIVE: Mapping[str, FindingCode] = {
    "archive-absolute-path": FindingCode(ERROR, "An entry has an absolute path or a drive.", "Zip with relative paths."),
    "archive-broken-data": FindingCode(ERROR, "An entry cannot be inflated, or ends too early or too late.", _AGAIN),
    "archive-checksum": FindingCode(ERROR, "The bytes of an entry do not match its CRC-32.", _AGAIN),
    "archive-compression": FindingCode(ERROR, "An entry is neither stored nor deflated.", "Use deflate."),
    "archive-duplicate-name": FindingCode(ERROR, "Two entries have one name (after Unicode NFC).", "Keep one of them."),
    "archive-encrypted": FindingCode(ERROR, "An entry is encrypted.", "Zip it without a password."),
    "archive-entry-too-large": FindingCode(ERROR, "An entry is larger than any labelled image.", "Leave it out."),
    "archive-headers-differ": FindingCode(ERROR, "The two headers of an entry contradict each other.", _AGAIN),
    "archive-inconsistent": FindingCode(ERROR, "The central directory is not where it should be.", _AGAIN),
    "archive-multi-disk": FindingCode(ERROR, "The ZIP is one part of several.", "Make one ZIP of it."),
    "archive-name-invalid": FindingCode(ERROR, "A name is empty, no UTF-8, or has control characters.", "Rename it."),
    "archive-name-too-long": FindingCode(ERROR, "A name or path is too long or too deep.", "Rename it or its folders."),
    "archive-not-a-zip": FindingCode(ERROR, "The file is no ZIP, or its end is missing.", "Upload a whole ZIP."),
    "archive-overlap": FindingCode(ERROR, "Entries share bytes: a bomb.", _AGAIN),
    "archive-parent-path": FindingCode(ERROR, "A path leaves the archive (`..`).", "Zip with relative paths."),
    "archive-ratio": FindingCode(ERROR, "An entry would grow more than any image or text does.", "Leave it out, or save it as PNG or JPEG."),
    "archive-size-lies": FindingCode(ERROR, "An entry is not as large as it says.", _AGAIN),
    "archive-special-file": FindingCode(ERROR, "An entry is a link, a device or a pipe.", "Zip the files themselves."),
    "archive-too-large": FindingCode(ERROR, "The inflated files are too large together.", _SHRINK),
    "archive-too-many-entries": FindingCode(ERROR, "There are too many entries.", _SHRINK),
    "archive-trailing-bytes": FindingCode(ERROR, "Bytes follow the end of the ZIP, or it was cut.", _AGAIN),
    "files-left-out": FindingCode(NOTE, "Files are neither images nor text; they never reach the disk.", "-", "dropped"),
    "names-case-equal": FindingCode(WARNING, "Two names differ only in case.", "Rename one of them."),
    "names-guessed": FindingCode(WARNING, "Names are not UTF-8, and were read as code page 437.", "Make the ZIP with UTF-8 names."),
    "names-unusual": FindingCode(NOTE, "Names have spaces or letters beyond ASCII; trainers get ASCII names.", "-"),
    "formats-none": FindingCode(ERROR, "Told before an upload: by its names alone, no format can fit.", "Add annotations, or folders of classes."),
    "formats-several": FindingCode(NOTE, "Several formats were found; the most complete one is read.", "-", "the others are dropped"),
}  # fmt: skip

IMAGES: Mapping[str, FindingCode] = {
    "image-alpha": FindingCode(NOTE, "The image has transparency, which trainers ignore.", "Save it on a background."),
    "image-ambiguous": FindingCode(ERROR, "An annotation could be about several images.", "Give each its own name.", OUT),
    "image-animated": FindingCode(WARNING, "Several frames or pages; the first is used.", "Save the frame that is meant."),
    "image-annotated-twice": FindingCode(ERROR, "An image has two annotations.", "Keep one of them.", OUT),
    "image-cmyk": FindingCode(WARNING, "CMYK is turned into RGB without a profile.", "Save it as RGB."),
    "image-converted": FindingCode(NOTE, "The format is converted to PNG for training.", "-"),
    "image-crashes-decoder": FindingCode(ERROR, "Decoding it kills the decoder or never ends.", "Save it anew.", OUT),
    "image-deep": FindingCode(WARNING, "More than 8 bits a channel are reduced to 8.", "Save it with 8 bits."),
    "image-duplicate": FindingCode(NOTE, "Two images have the same bytes; they stay in one part, unless a given split parts them.", "-"),
    "duplicate-differs": FindingCode(WARNING, "Two images of the same bytes have other boxes, or another class.", "Keep the right one."),
    "image-near-duplicate": FindingCode(NOTE, "An image looks almost like another; they stay in one part, unless a given split parts them.", "-"),
    "image-empty": FindingCode(ERROR, "The file has no bytes.", "Replace or remove it.", OUT),
    "image-extension": FindingCode(WARNING, "The name says another format than the content.", "Rename it.", "renamed"),
    "image-missing": FindingCode(ERROR, "An annotation has no image.", "Add it, or drop the annotation.", "left out, and images without any annotation"),
    "image-palette": FindingCode(NOTE, "Images have a palette of colours, as masks and screenshots have.", "Look at them."),
    "image-same-stem": FindingCode(WARNING, "Another image of this name has the annotation.", "Remove or annotate it."),
    "image-too-large": FindingCode(ERROR, "More pixels or bytes than are accepted.", "Save it smaller.", OUT),
    "image-too-small": FindingCode(ERROR, "A side is too short to train on.", "Remove it.", OUT),
    "image-truncated": FindingCode(ERROR, "The image ends too early.", "Replace it.", OUT),
    "image-turned": FindingCode(NOTE, "EXIF says it is stored turned; it is read upright.", "-"),
    "image-unreadable": FindingCode(ERROR, "It cannot be decoded.", "Replace or remove it.", OUT),
    "image-without-annotation": FindingCode(NOTE, "No annotation: it counts as background.", "Annotate it if need be."),
    "image-without-class": FindingCode(WARNING, "It lies in no folder of a class, and is left out.", "Move or remove it.", OUT),
    "masks-left-out": FindingCode(NOTE, "Segmentation masks are no images to detect in.", "-", "dropped"),
}  # fmt: skip

BOXES: Mapping[str, FindingCode] = {
    "box-at-edge": FindingCode(NOTE, "At most a pixel beyond the image: clipped.", "-", "clipped"),
    "box-clipped": FindingCode(WARNING, "Beyond the image, most of it inside: clipped.", "Draw it inside.", "clipped"),
    "box-corner-twice": FindingCode(ERROR, "A box has one of its corners twice.", "Keep the right one.", OUT),
    "box-duplicate": FindingCode(WARNING, "The same box is there twice.", "Remove one.", "one is dropped"),
    "box-elongated": FindingCode(NOTE, "More than 40 times as long as wide.", "Look at it."),
    "box-inverted": FindingCode(ERROR, "min is above max.", "Swap them.", "swapped"),
    "box-missing": FindingCode(ERROR, "An object has no box.", "Draw it, or remove the object.", OUT),
    "box-not-a-number": FindingCode(ERROR, "A coordinate is no finite number.", "Mend it.", OUT),
    "box-not-normalised": FindingCode(ERROR, "A YOLO number is in pixels, not a fraction.", "Divide by the size.", OUT),
    "box-outside": FindingCode(ERROR, "Wholly or mostly outside the image.", "Draw it on this very image.", "clipped where 2 px of it are inside, else dropped"),
    "box-several": FindingCode(ERROR, "An object has several boxes.", "Write an object for each.", OUT),
    "box-tiny": FindingCode(WARNING, "Thinner than 2 px.", "Look at it."),
    "box-whole-image": FindingCode(NOTE, "It covers the whole image.", "Look at it."),
    "box-zero-area": FindingCode(ERROR, "It has no area.", "Draw it again.", "dropped"),
    "boxes-turned": FindingCode(WARNING, "Boxes are meant in stored pixels; they are turned with the image.", "Label the upright image."),
    "size-missing": FindingCode(NOTE, "The declared size is missing or 0; the image decides.", "-", "set"),
    "size-wrong": FindingCode(WARNING, "The declared size is not that of the image, which decides.", "Check the boxes.", "set; where one image proves that its boxes were drawn on the declared size, those of the whole set are scaled; left out where they fit neither size"),
    "polygons-as-boxes": FindingCode(NOTE, "Polygons are taken as the boxes around them.", "-"),
    "confidence-left-out": FindingCode(WARNING, "Labels have a sixth column: predictions?", "Look at them."),
    "crowds-left-out": FindingCode(NOTE, "COCO crowds are no boxes.", "-", "dropped"),
    "keypoints-left-out": FindingCode(NOTE, "Keypoints behind the boxes are left out.", "-"),
}  # fmt: skip

CLASSES: Mapping[str, FindingCode] = {
    "class-empty": FindingCode(WARNING, "A folder among those of classes has no image.", "Add images, or remove it."),
    "class-id-unknown": FindingCode(ERROR, "A class number has no name.", "Correct it, or add the name.", OUT),
    "class-name-empty": FindingCode(ERROR, "A class or an object has no name.", "Name it.", OUT),
    "class-name-spaces": FindingCode(NOTE, "A name is written with spaces around it, and without: one class.", "-"),
    "class-name-too-long": FindingCode(ERROR, "A class name is a sentence.", "Shorten it.", OUT),
    "class-name-twice": FindingCode(WARNING, "Two class numbers have one name; they are one class.", "Rename one."),
    "class-names-missing": FindingCode(WARNING, "Nothing names the classes; their numbers do.", "Add a data.yaml."),
    "class-names-similar": FindingCode(WARNING, "Names differ only in case, space or punctuation.", "Name one class one way."),
    "class-nested": FindingCode(WARNING, "Images lie deeper than others; the class's folder above them counts.", "Look at them."),
    "class-not-in-split": FindingCode(WARNING, "A class of images is not in val, or not in test.", "Add images of it, or split=remake."),
    "class-not-in-train": FindingCode(ERROR, "A class has no image in train.", "Mend the split, or split=remake."),
    "class-rare": FindingCode(WARNING, "A class is in fewer than three images.", "Add images of it."),
    "class-unused": FindingCode(NOTE, "Named classes have no box; they are no classes of the dataset.", "-"),
    "folders-doubled": FindingCode(NOTE, "A folder repeats the one round it; it is left out.", "Zip it once.", "dropped"),
    "no-boxes": FindingCode(ERROR, "There is not one usable box.", "Label some images."),
    "too-few-classes": FindingCode(ERROR, "Fewer than two classes have usable images.", "Add images of another class."),
    "too-few-images": FindingCode(ERROR, "Fewer than three usable images.", "Add images."),
}  # fmt: skip

ANNOTATIONS: Mapping[str, FindingCode] = {
    "filename-differs": FindingCode(WARNING, "<filename> names another file.", "Check that they belong together.", "set where the XML is written anew"),
    "xml-dtd": FindingCode(ERROR, "A DTD or entities, which are never read.", "Remove them.", OUT),
    "xml-empty": FindingCode(ERROR, "The XML is empty.", "Restore it, or remove it.", OUT),
    "xml-invalid": FindingCode(ERROR, "The XML is not well-formed, or in an unknown encoding.", "Mend it.", OUT),
    "xml-not-voc": FindingCode(WARNING, "An XML without <annotation>.", "Remove it.", "dropped"),
    "xml-structure": FindingCode(WARNING, "The XML differs from the field's structure (voc.xsd).", "Correct the line."),
    "xml-too-deep": FindingCode(ERROR, "Nested too deeply.", "Export it as plain VOC.", OUT),
    "xml-too-large": FindingCode(ERROR, "Larger than any annotation of an image.", "Split it.", OUT),
    "label-file-too-large": FindingCode(ERROR, "A label file is larger than any image's labels.", "Look at it.", OUT),
    "label-line-invalid": FindingCode(ERROR, "A line is neither a box nor a polygon.", "Write five columns.", OUT),
    "yaml-count-differs": FindingCode(WARNING, "`nc` is not the number of names, which count.", "Correct it.", "dropped"),
    "yaml-download": FindingCode(WARNING, "`download` is never run.", "Remove it.", "dropped"),
    "yaml-invalid": FindingCode(ERROR, "data.yaml cannot be read as data.", "Mend it."),
    "yaml-key-twice": FindingCode(WARNING, "A key is there twice; the last one counts.", "Remove one.", "one is dropped"),
    "yaml-names-invalid": FindingCode(ERROR, "`names` does not give one name for each number.", "Mend it."),
    "yaml-path-missing": FindingCode(WARNING, "A part of the split names no folder or list that exists.", "Correct the path.", "written as lists"),
    "yaml-several": FindingCode(WARNING, "Another yaml names other classes.", "Upload one set at a time.", "dropped"),
    "json-annotation-twice": FindingCode(WARNING, "Two annotations have one id.", "Give each its own.", "numbered anew"),
    "json-entry-invalid": FindingCode(ERROR, "An entry lacks its ids or its name.", "Add them.", ENTRY_OUT),
    "json-id-twice": FindingCode(ERROR, "Two images or categories have one id.", "Give each its own.", OUT),
    "json-image-unknown": FindingCode(ERROR, "An annotation is about an image that is not listed.", "List it.", "left out, and images without any annotation"),
    "json-invalid": FindingCode(ERROR, "The JSON cannot be read to its end.", "Mend or export it."),
    "json-left-out": FindingCode(NOTE, "A JSON lists no boxes of its own (captions, keypoints).", "-", "dropped"),
}  # fmt: skip

_REMAKE = "Mend the split, or let it be made anew (split=remake)."

SPLITS: Mapping[str, FindingCode] = {
    "split-conflict": FindingCode(WARNING, "An image is listed for two parts.", "List it once.", "one list each"),
    "split-leak": FindingCode(WARNING, "The same image is in two parts of the given split.", _REMAKE),
    "split-leak-near": FindingCode(WARNING, "A held-out image looks like one that is trained on.", _REMAKE),
    "split-list-unknown": FindingCode(WARNING, "A list names an image that is not there.", "Drop the line.", "dropped"),
    "split-partial": FindingCode(WARNING, "Images are in no part; they go to train.", _REMAKE),
    "split-same-folder": FindingCode(WARNING, "Two parts are the same folder.", "Give each its own."),
    "split-uneven": FindingCode(WARNING, "The parts are far from the sizes asked for.", _REMAKE),
    "split-unusable": FindingCode(WARNING, "Of a split there is only train, or no train; a new one is made.", "Add the missing part, or nothing."),
    "split-val-cut": FindingCode(NOTE, "No usable image is given for validation; some were cut from train.", "-"),
    "split-val-unlabelled": FindingCode(WARNING, "The validation part has no box.", _REMAKE),
    "split-without-test": FindingCode(WARNING, "There is no test part.", _REMAKE),
    "split-without-val": FindingCode(ERROR, "No image is left for validation.", "Add images."),
}  # fmt: skip

_LOG = "Done by the repair."

REPAIRS: Mapping[str, FindingCode] = {
    "repair-box-clipped": FindingCode(NOTE, "The box ends at the image's edge now.", _LOG),
    "repair-box-dropped": FindingCode(NOTE, "The box was outside, without area, or there twice.", _LOG),
    "repair-box-swapped": FindingCode(NOTE, "The box's corners were swapped.", _LOG),
    "repair-boxes-rescaled": FindingCode(NOTE, "The boxes were drawn on an image of another size and the same shape, and are scaled.", _LOG),
    "repair-entry-left-out": FindingCode(NOTE, "An annotation or entry could not be used.", _LOG),
    "repair-file-dropped": FindingCode(NOTE, "A file that says nothing of the dataset, or whose content was written anew.", _LOG),
    "repair-junk-dropped": FindingCode(NOTE, "A file that is no data.", _LOG),
    "repair-image-left-out": FindingCode(NOTE, "The image or its annotation is beyond repair, or it would count as background by mistake.", _LOG),
    "repair-image-renamed": FindingCode(NOTE, "The image has the suffix of its content now.", _LOG),
    "repair-size-mended": FindingCode(NOTE, "The declared size is that of the image now.", _LOG),
}  # fmt: skip

SECTIONS: Mapping[str, Mapping[str, FindingCode]] = {
    "The archive": ARCHIVE,
    "Images": IMAGES,
    "Boxes": BOXES,
    "Classes": CLASSES,
    "Annotation files": ANNOTATIONS,
    "Splits": SPLITS,
    "The log of a repair": REPAIRS,
}
FINDING_CODES: Mapping[str, FindingCode] = {code: entry for part in SECTIONS.values() for code, entry in part.items()}


def findings_page() -> str:
    """docs/findings.md."""
    lines = [
        "# Findings",
        "",
        "Everything that is wrong or odd in an upload is told in one pass, at `GET /jobs/{job_id}/findings`: an",
        "**error** rejects the dataset (or leaves its item out with `on_error=skip`), a **warning** is worth a look, a",
        "**note** explains a number. The last column says what `POST /jobs/{job_id}/repair` does.",
    ]
    for title, codes in SECTIONS.items():
        lines += ["", f"## {title}", "", "| code | severity | meaning | what to do | repair |", "|---|---|---|---|---|"]
        for code, entry in codes.items():
            meaning = entry.meaning.replace("<", "&lt;")
            lines.append(f"| `{code}` | {entry.severity} | {meaning} | {entry.remedy} | {entry.repaired or '-'} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(findings_page(), end="")  # noqa: T201 - the command's output
