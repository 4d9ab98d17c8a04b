"""Pascal VOC: JPEGImages/, an XML for each image in Annotations/, lists of the splits in ImageSets/Main/.

Coordinates are 1-based and inclusive, as the development kit has them: the left edge 0 is `xmin` 1. What lies between
pixels keeps its decimals, which readers of floats restore.
"""

import re
from collections import Counter
from xml.sax.saxutils import escape

from pipeline.archive.entry_names import bare_of, base_of, folder_of
from pipeline.archive.zip_writer import ZipWriter
from pipeline.dataset_export.images import add_images, by_split, file_names, note_contradictions, note_paths
from pipeline.dataset_export.losses import Losses
from pipeline.dataset_export.pixels import px_text
from pipeline.dataset_export.readme import Readme
from pipeline.dataset_export.source import ExportSource
from pipeline.index.schema import IndexedImage
from pipeline.params.dataset_exports import Arrange
from pipeline.process.progress import StageReporter

_IMAGES, _ANNOTATIONS, _LISTS = "JPEGImages/", "Annotations/", "ImageSets/Main/"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_USE = """\
As in the development kit of Pascal VOC: `xmin`, `ymin`, `xmax` and `ymax` count pixels from 1, and the last one belongs
to the box. Boxes whose edges lie between pixels have decimals (`xmin` 1.5): read them as floats, and subtract 1 from
`xmin` and `ymin` for edges from 0. Where two images differ in their suffix alone, the XML has it in its name."""


def write(source: ExportSource, target: ZipWriter, *, arrange: Arrange, losses: Losses, steps: StageReporter) -> Readme:
    """See `pipeline.dataset_export.FormatWriter`."""
    del arrange  # the splits are lists: the images need not move
    names = file_names(source, _IMAGES)
    note_paths(names, _IMAGES, losses)
    note_contradictions(source, names, losses)
    add_images(source, target, names, losses=losses, steps=steps)
    steps.stage("writing-annotations")
    stems = _stems(names)
    classes = [_NOT_XML.sub("_", name) for name in source.classes]
    losses.add("classes-renamed", sum(old != new for old, new in zip(source.classes, classes, strict=True)))
    for done, image in enumerate(source.images(), start=1):
        name = names[image.path]
        target.add(f"{_ANNOTATIONS}{stems[name]}.xml", _annotation(image, name, classes).encode())
        steps.tick(done, source.count)
    for split, listed in by_split(source, names):
        target.add(f"{_LISTS}{split}.txt", "".join(f"{stems[name]}\n" for name in listed).encode())
    return Readme(_USE, classes=classes)


def _stems(names: dict[str, str]) -> dict[str, str]:
    """Name of an image -> that of its XML: the same without the suffix, unless another image has the same."""
    bare = {name: bare_of(name.removeprefix(_IMAGES)) for name in names.values()}
    counts = Counter(bare.values())
    return {name: stem if counts[stem] == 1 else name.removeprefix(_IMAGES) for name, stem in bare.items()}


def _annotation(image: IndexedImage, name: str, classes: list[str]) -> str:
    objects = "".join(
        f"\t<object>\n\t\t<name>{escape(classes[box.class_id])}</name>\n\t\t<pose>Unspecified</pose>\n"
        f"\t\t<truncated>0</truncated>\n\t\t<difficult>{int(box.difficult)}</difficult>\n\t\t<bndbox>\n"
        f"\t\t\t<xmin>{px_text(box.x1 + 1000)}</xmin>\n\t\t\t<ymin>{px_text(box.y1 + 1000)}</ymin>\n"
        f"\t\t\t<xmax>{px_text(box.x2)}</xmax>\n\t\t\t<ymax>{px_text(box.y2)}</ymax>\n\t\t</bndbox>\n\t</object>\n"
        for box in image.boxes
    )
    return (
        f"<annotation>\n\t<folder>{escape(folder_of(name))}</folder>\n\t<filename>{escape(base_of(name))}</filename>\n"
        f"\t<size>\n\t\t<width>{image.width}</width>\n\t\t<height>{image.height}</height>\n\t\t<depth>3</depth>\n"
        f"\t</size>\n\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )
