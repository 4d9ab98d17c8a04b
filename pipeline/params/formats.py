"""The catalogue of dataset formats: name -> module and user documentation. Modules are import strings: no heavy import.

A new format is one module (pipeline.formats.DatasetFormat), one entry here and one sample in the contract tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FormatPage:
    """`module` recognises and reads the format; the rest is documentation. `tree`: an example, one entry per line.

    `decides`: its files are unmistakable, so that an archive with them is read in no other format. The formats of
    REVISIONS state everything, also the split and which files are images of the dataset: an archive of a revision or of tables has no others.
    """

    module: str
    kind: Literal["detection", "classification"]
    title: str
    description: str
    tree: str
    decides: bool = False


REVISIONS = frozenset({"darkroom", "darkroom-classes", "parquet", "parquet-classes"})

VOC_TREE = """\
set/
  images/dog-1.jpg          JPEGImages/, any other folder, or beside the XML
  annotations/dog-1.xml     Annotations/, annots/, xml/, any other folder
  ImageSets/Main/train.txt  optional: your split, with val.txt and test.txt; or folders train/ valid/ test/"""

YOLO_TREE = """\
set/
  data.yaml                 `names`, optionally train, val, test; or classes.txt with the names
  images/train/dog-1.jpg    or train/images/, or beside the labels
  labels/train/dog-1.txt    0 0.5 0.5 0.25 0.4
  images/val/dog-2.jpg
  labels/val/dog-2.txt      empty: no objects in the image"""

COCO_TREE = """\
set/
  annotations/instances_train2017.json  or _annotations.coco.json in train/ valid/ test/, or one JSON with any name
  annotations/instances_val2017.json
  train2017/000000000009.jpg
  val2017/000000000139.jpg"""

CSV_TREE = """\
set/
  annotations.csv           filename,width,height,class,xmin,ymin,xmax,ymax
  images/dog-1.jpg          in any folder; the table names files or paths"""

JSONL_TREE = """\
set/
  train/metadata.jsonl      {"file_name": "1.jpg", "objects": {"bbox": [[8, 10, 24, 16]], "categories": ["dog"]}}
  train/1.jpg"""

TABLE_TREE = """\
set/
  train/metadata.csv        file_name,label
  train/batch-1/1.jpg       the table gives the class, not the folder"""

CVAT_TREE = """\
set/
  annotations.xml           CVAT for images 1.1
  images/dog-1.jpg          in any folder; <image name> is the file or its path"""

LABELME_TREE = """\
set/
  dog-1.jpg
  dog-1.json                beside the image or in another folder; `imagePath` names it"""

LABEL_STUDIO_TREE = """\
set/
  export.json               the JSON or JSON-MIN export; the images are added by hand
  images/3f2a9c1b-dog-1.jpg or dog-1.jpg"""

CUB_TREE = """\
CUB_200_2011/
  images.txt                1 001.Black_footed_Albatross/1.jpg
  image_class_labels.txt    1 1
  classes.txt               1 001.Black_footed_Albatross
  train_test_split.txt      optional: 1 1, where the second number is 1 for train and 0 for test
  images/001.Black_footed_Albatross/1.jpg"""

PET_TREE = """\
set/
  annotations/list.txt      Abyssinian_1 1 1 1
  annotations/trainval.txt  optional: rows as those of list.txt, with test.txt
  images/Abyssinian_1.jpg"""

REVISION_TREE = """\
set/
  darkroom-dataset.jsonl    a line for the classes, then one for each image: path, size, split, and boxes or label
  images/dog-1.jpg          in any folder; a line names the path below that of the file"""

PARQUET_TREE = """\
set/
  README.md                 optional: the card, whose YAML may name files and classes
  data/train-00000-of-00002.parquet
  data/validation-00000-of-00001.parquet"""

FOLDERS_TREE = """\
set/
  cat/1.jpg
  cat/old/2.jpg             in a subfolder: also class cat
  dog/3.jpg                 with your split: train/cat/1.jpg, test/cat/2.jpg; or cat/train/1.jpg, cat/test/2.jpg"""

# Tried in this order; if several formats describe the same number of images, the first one is read.
CATALOGUE: Mapping[str, FormatPage] = {
    "voc": FormatPage(
        "pipeline.formats.voc",
        "detection",
        "Pascal VOC",
        "One XML file for each image. Corners are 1-based inclusive pixels; fractions are accepted. <size> may be "
        "missing or wrong: the decoded image decides. Boxes refer to the upright image, as viewers display it (EXIF "
        "orientation applied). They refer to the stored image only if <size> is that of the stored image, or if <size> "
        "is not usable and the boxes fit the stored image only (`boxes-rotated`). Images without an XML file are "
        "background. An XML is matched to its image by folder and file name first, by <filename> second.",
        VOC_TREE,
    ),
    "yolo": FormatPage(
        "pipeline.formats.yolo",
        "detection",
        "YOLO text files",
        "One text file for each image, with a line `class x_centre y_centre width height` for each box, as fractions "
        "of the upright image (EXIF orientation applied). Polygons are replaced by the boxes around them; a sixth "
        "column (a confidence) and keypoints are left out. `data.yaml` is read as plain data: `download` is ignored. "
        "Images with an empty or missing label file are background.",
        YOLO_TREE,
    ),
    "coco": FormatPage(
        "pipeline.formats.coco",
        "detection",
        "COCO JSON",
        "JSON with `images`, `annotations` and `categories`; `bbox` is [x, y, width, height] in pixels of the upright "
        "image. For an image with an EXIF rotation, `width` and `height` of its entry decide whether the boxes refer "
        "to the upright or the stored image, as <size> does in VOC. Several files are the parts of a split. Crowd "
        "annotations are left out. If there are instances_*.json files, all other JSON files (captions, keypoints) are "
        "left out.",
        COCO_TREE,
    ),
    "cvat": FormatPage(
        "pipeline.formats.cvat",
        "detection",
        "CVAT XML for images",
        "One XML for all images, exported as CVAT for images. Boxes are in pixels; polygons, masks and ellipses are "
        "replaced by the boxes around them, and so are rotated shapes, with a warning; points and lines are errors. "
        "`subset` of an image is its split. `width` and `height` decide whether the boxes of an image with an EXIF "
        "rotation refer to the upright or the stored image. CVAT for video is not read.",
        CVAT_TREE,
    ),
    "labelme": FormatPage(
        "pipeline.formats.labelme",
        "detection",
        "LabelMe JSON",
        "One JSON for each image with `shapes` in pixels. Rectangles are boxes; polygons, masks and circles are replaced "
        "by the boxes around them; a point or a line is an error. `imageData` is ignored. `imageWidth` and `imageHeight` "
        "decide whether the boxes of an image with an EXIF rotation refer to the upright or the stored image, as <size> "
        "does in VOC. A JSON is matched to its image by `imagePath`, its own name and its folder.",
        LABELME_TREE,
    ),
    "label-studio": FormatPage(
        "pipeline.formats.label_studio",
        "detection",
        "Label Studio JSON",
        "The JSON or JSON-MIN export: a list of tasks with regions in percent of the upright image (EXIF orientation applied). "
        "Polygons and ellipses are replaced by the boxes around them, and so are rotated rectangles, with a warning; key "
        "points and brushes are errors, and so are two annotations of one task. Choices are left out. A task without "
        "an annotation, or with a skipped one, states nothing about its image.",
        LABEL_STUDIO_TREE,
    ),
    "csv": FormatPage(
        "pipeline.formats.csv_boxes",
        "detection",
        "CSV table of boxes",
        "One row for each box; the delimiter is a comma, semicolon, tab or |. The columns are found by the names in the "
        "header: the image (`filename`, `image_path`, `ImageID`, ...), the class (`class`, `label`, "
        "`LabelName`, ...), and the box as corners (`xmin, ymin, xmax, ymax`, `x1, y1, x2, y2`, `XMin`, ...), as left, "
        "top, width and height (`x, y, w, h`), or with its centre (`x_center, ...`); optionally `width` and `height` of "
        "the image and `split`. Without a header (keras-retinanet, AutoML), the values of all rows must show one column "
        "of images, one of classes and the corners. A column `bbox` may hold `[x, y, w, h]` or the corners, by what fits "
        "all boxes; `objects` holds those of the hub's metadata.csv. If all boxes of the dataset are within 0 .. 1 they "
        "are fractions of the upright image, else pixels of it; EXIF orientations are treated as in COCO. A row without class and box lists an image "
        "without objects.",
        CSV_TREE,
    ),
    "jsonl": FormatPage(
        "pipeline.formats.jsonl_boxes",
        "detection",
        "JSON Lines of boxes",
        "One JSON object for each image: `metadata.jsonl` of the Hugging Face hub (`file_name`, and `objects` with `bbox` "
        "as left, top, width, height in pixels and `categories`), or Azure ML (`image_url`, and `label` with `topX`, "
        "`topY`, `bottomX`, `bottomY` as fractions). If all boxes of the dataset are within 0 .. 1 they are fractions of "
        "the upright image, else pixels of it; EXIF orientations are treated as in COCO.",
        JSONL_TREE,
    ),
    "table": FormatPage(
        "pipeline.formats.table_classes",
        "classification",
        "Table of classes",
        "One row (CSV, TSV) or JSON line for each image: `metadata.csv` of the Hugging Face hub (`file_name`, `label`) or "
        "any table with a column of images and one of classes, optionally one of splits. The table gives the classes, "
        "also where folders could. Images without a row are left out. Images with an EXIF rotation are read upright.",
        TABLE_TREE,
    ),
    "label-studio-choices": FormatPage(
        "pipeline.formats.label_studio_choices",
        "classification",
        "Label Studio JSON of choices",
        "The JSON or JSON-MIN export of a project with one choice for each image, which is its class. A task with two "
        "choices is an error; one without an annotation, or with a skipped one, states nothing about its image, which is "
        "left out. Images with an EXIF rotation are read upright.",
        LABEL_STUDIO_TREE,
    ),
    "cub": FormatPage(
        "pipeline.formats.cub",
        "classification",
        "CUB-200",
        "The tables `images.txt`, `image_class_labels.txt` and `classes.txt` give the class of each image, and "
        "`train_test_split.txt` the split. Boxes and parts are left out. Images with an EXIF rotation are read upright.",
        CUB_TREE,
        decides=True,
    ),
    "oxford-pet": FormatPage(
        "pipeline.formats.oxford_pet",
        "classification",
        "Oxford-IIIT Pet",
        "`list.txt` has a row for each image: its name, the number of its class, and two more numbers. The class is the "
        "name of the image without its number; `trainval.txt` and `test.txt` give the split. Trimaps are left out, and "
        "so are XML files that only a part of the images has; where each has one, Pascal VOC is read. Images with an "
        "EXIF rotation are read upright.",
        PET_TREE,
        decides=True,
    ),
    "folders": FormatPage(
        "pipeline.formats.folders",
        "classification",
        "Folders of classes",
        "The name of a folder is the class of its images, at any depth, with or without train/ val/ test/ around or "
        "inside the class folders. A folder `test` beside class folders is a class; one that holds the same classes as "
        "other folders is a part of the split. Classes are numbered in natural order: 10 comes after 9, unless a class_order.txt names them in another one. Images in no "
        "class folder are left out, and so is a folder that repeats its parent. Images with an EXIF rotation are read "
        "upright.",
        FOLDERS_TREE,
    ),
    "parquet": FormatPage(
        "pipeline.formats.parquet_boxes",
        "detection",
        "Parquet with boxes",
        "As the Hugging Face hub keeps datasets: `image` holds the bytes of an image, and `objects` its boxes, with `bbox` as "
        "left, top, width, height in pixels of the upright image, and `category`; `difficult` and `iscrowd` may be there, "
        "too. The names of the classes are in the schema, or in the card. If all boxes of the dataset are within 0 .. 1 "
        "they are fractions of the upright image. The names of the files give the split. `width` and `height` decide "
        "whether the boxes of an image with an EXIF rotation refer to the upright or the stored image. `path` names the "
        "image, else the path in `image`.",
        PARQUET_TREE,
        decides=True,
    ),
    "parquet-classes": FormatPage(
        "pipeline.formats.parquet_classes",
        "classification",
        "Parquet with classes",
        "The same with a column `label` in place of `objects`: a ClassLabel, whose order of names is kept, or a text. Rows "
        "without a label are left out. Images with an EXIF rotation are read upright.",
        PARQUET_TREE,
        decides=True,
    ),
    "darkroom": FormatPage(
        "pipeline.formats.revision_boxes",
        "detection",
        "Revision with boxes",
        "What Darkroom writes where a dataset is extended or corrected: one JSON line for each image, with its size, its "
        "split, and its boxes in thousandths of a pixel of the upright image (EXIF orientation applied); the first line "
        "has the classes in the order of their ids. An image without a line has no label.",
        REVISION_TREE,
        decides=True,
    ),
    "darkroom-classes": FormatPage(
        "pipeline.formats.revision_classes",
        "classification",
        "Revision with classes",
        "The same for classes of whole images: each line has the number of the class. Images with an EXIF rotation are "
        "read upright.",
        REVISION_TREE,
        decides=True,
    ),
}
