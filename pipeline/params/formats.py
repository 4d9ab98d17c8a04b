"""The formats there are: name -> module and what its users are told. Import strings, so that the API can show it.

A new format is one module (pipeline.formats.DatasetFormat), one entry here and one sample in the contract tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FormatPage:
    """`module` recognises and reads it; the rest is for people. `tree` is an example, one entry a line."""

    module: str
    kind: Literal["detection", "classification"]
    title: str
    description: str
    tree: str


VOC = """\
set/
  images/dog-1.jpg          JPEGImages/, any other folder, or beside the XML
  annotations/dog-1.xml     Annotations/, annots/, xml/, any other folder
  ImageSets/Main/train.txt  if a split is given; so are val.txt and test.txt, or folders train/ valid/ test/"""

YOLO = """\
set/
  data.yaml                 names, and train, val, test where given; classes.txt does too
  images/train/dog-1.jpg    or train/images/, or beside the labels
  labels/train/dog-1.txt    0 0.5 0.5 0.25 0.4
  images/val/dog-2.jpg
  labels/val/dog-2.txt      empty: nothing is in the image"""

COCO = """\
set/
  annotations/instances_train2017.json  or _annotations.coco.json in train/ valid/ test/, or one JSON of any name
  annotations/instances_val2017.json
  train2017/000000000009.jpg
  val2017/000000000139.jpg"""

FOLDERS = """\
set/
  cat/1.jpg
  cat/old/2.jpg             deeper than others: still a cat
  dog/3.jpg                 with a split: train/cat/1.jpg and test/cat/2.jpg, or cat/train/1.jpg and cat/test/2.jpg"""

# Asked in this order; of several that describe the same number of images the first one wins.
CATALOGUE: Mapping[str, FormatPage] = {
    "voc": FormatPage(
        "pipeline.formats.voc",
        "detection",
        "Pascal VOC",
        "One XML for each image. Corners are 1-based inclusive pixels, fractions allowed. <size> may be missing or "
        "wrong: the decoded image decides. Where EXIF turns an image, its boxes are meant in the upright one, as "
        "viewers show it; in the stored one only where <size> is that of the stored one, or where <size> is of no help "
        "and the boxes fit no other (`boxes-rotated`). Images without XML are background. Pairs are found by place "
        "and name first, by <filename> second.",
        VOC,
    ),
    "yolo": FormatPage(
        "pipeline.formats.yolo",
        "detection",
        "YOLO text files",
        "One text file for each image: a line `class x_centre y_centre width height` for each box, as fractions of "
        "the image, upright by its EXIF orientation. Polygons become their boxes; a sixth column (a confidence) and "
        "keypoints are left out. `data.yaml` is read as data: its `download` is never run. Empty or missing files are "
        "background.",
        YOLO,
    ),
    "coco": FormatPage(
        "pipeline.formats.coco",
        "detection",
        "COCO JSON",
        "JSON with images, annotations and categories; `bbox` is [x, y, width, height] in pixels of the upright "
        "image; where EXIF turns it, `width` and `height` of its entry tell upright from stored, as <size> does in "
        "VOC. Several files are the parts of a split. Crowds are left out. Where there are instances_*.json, the other "
        "files (captions, keypoints) are left out.",
        COCO,
    ),
    "folders": FormatPage(
        "pipeline.formats.folders",
        "classification",
        "Folders of classes",
        "The name of the folder is the class of its images, at any depth, with or without train/ val/ test/ around "
        "or inside. A folder `test` among folders of classes is a class; one that holds the same classes as others is a "
        "part of the split. Classes are numbered in natural order: 10 comes after 9. Images in no class are left out, "
        "and so is a folder that repeats the one round it. Images that EXIF turns are read upright.",
        FOLDERS,
    ),
}
