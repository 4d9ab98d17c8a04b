"""The catalogue of findings: for each code its severity, a title, what it means, what to do, and what a repair does.

`python -m core.domain.finding_codes` prints docs/findings.md.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    ERROR = "error"  # the item cannot be used: the dataset is rejected, or the item left out with on_error=skip
    WARNING = "warning"  # used, perhaps corrected; worth checking
    NOTE = "note"  # a fact that explains a number


class FindingCode(NamedTuple):
    """`title`: in a few plain words. `repaired`: what `POST /jobs/{job_id}/repair` does about it; empty for nothing."""

    severity: Severity
    title: str
    meaning: str
    remedy: str
    repaired: str = ""


ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

_NOTHING = "Nothing to do."
_LEFT_OUT = "the image is left out"
_ZIP_AGAIN = "Create the ZIP again from the original folder."
_RELATIVE = "Create the ZIP with relative paths."
_SMALLER_SET = "Split the dataset into several."
_REPLACE = "Replace the image, or remove it together with its annotation."
_CHECK_BOX = "Check the box."
_REMAKE = "Correct the split, or have a new one made (split=remake)."
_REPAIRED = "Done by the repair."

ARCHIVE_CODES: Mapping[str, FindingCode] = {
    "upload-too-large": FindingCode(ERROR, "The ZIP is larger than an upload may be", "Before an upload: the ZIP exceeds the size limit of an upload.", "Split the dataset, or ask the operator for a higher limit."),
    "archive-absolute-path": FindingCode(ERROR, "A path in the ZIP is absolute", "An entry has an absolute path or a drive letter.", _RELATIVE),
    "archive-broken-data": FindingCode(ERROR, "A file in the ZIP is damaged", "The compressed data of an entry is corrupt, or has the wrong length.", _ZIP_AGAIN),
    "archive-checksum": FindingCode(ERROR, "A file in the ZIP is not what was packed", "The bytes of an entry do not match its CRC-32.", _ZIP_AGAIN),
    "archive-compression": FindingCode(ERROR, "A file is compressed in an unusual way", "An entry uses a compression method other than stored or deflate.", "Create the ZIP with deflate, the usual compression."),
    "archive-duplicate-name": FindingCode(ERROR, "Two files have the same name", "Two entries have the same name (after Unicode NFC normalisation).", "Keep one of them; names that look the same may differ in their Unicode form alone."),
    "archive-encrypted": FindingCode(ERROR, "The ZIP has a password", "An entry is encrypted.", "Create the ZIP without a password."),
    "archive-entry-too-large": FindingCode(ERROR, "A file in the ZIP is too large", "An entry exceeds the size limit of one file.", "Leave the file out."),
    "archive-headers-differ": FindingCode(ERROR, "The ZIP contradicts itself", "The local and the central header of an entry contradict each other.", _ZIP_AGAIN),
    "archive-inconsistent": FindingCode(ERROR, "The ZIP is damaged", "The central directory is damaged, or not where the end record says.", _ZIP_AGAIN),
    "archive-multi-disk": FindingCode(ERROR, "The ZIP is one part of several", "The ZIP is one part of a multi-part archive.", "Create a single ZIP."),
    "archive-name-invalid": FindingCode(ERROR, "A file name cannot be read", "A name is empty, is not valid UTF-8, or has control characters.", "Rename the file."),
    "archive-name-too-long": FindingCode(ERROR, "A file name or path is too long", "A name or path is too long, or folders are nested too deeply.", "Rename the file, or use fewer and shorter folders."),
    "archive-nested": FindingCode(WARNING, "An archive inside the ZIP is not read", "An archive inside the archive is not read.", "If it holds images or annotations, unpack it into the folder and create the ZIP again.", "dropped"),
    "archive-not-a-zip": FindingCode(ERROR, "The file is not a complete ZIP", "The file is not a ZIP, or its end is missing.", "Upload a complete ZIP; if it is one, upload it again."),
    "archive-overlap": FindingCode(ERROR, "Files in the ZIP share their bytes", "Entries share bytes of the archive, as in a ZIP bomb.", _ZIP_AGAIN),
    "archive-parent-path": FindingCode(ERROR, "A path leads out of the ZIP", "A path leads out of the archive (`..`).", _RELATIVE),
    "archive-ratio": FindingCode(ERROR, "The ZIP expands too far", "An entry, or the archive as a whole, would expand far more than images and text do, as in a ZIP bomb.", "Leave the files out; save such images as PNG or JPEG."),
    "archive-size-mismatch": FindingCode(ERROR, "A file has another size than the ZIP states", "The size of an entry is not the one that its header declares.", _ZIP_AGAIN),
    "archive-special-file": FindingCode(ERROR, "The ZIP holds a link or a device", "An entry is a link, a device or a pipe.", "Put the files themselves into the ZIP, not links to them."),
    "archive-too-large": FindingCode(ERROR, "The files are too large together", "All files together exceed the limit of the unpacked size.", _SMALLER_SET),
    "archive-too-many-entries": FindingCode(ERROR, "The ZIP has too many files", "The ZIP has more entries than are accepted.", _SMALLER_SET),
    "archive-trailing-bytes": FindingCode(ERROR, "The end of the ZIP is cut off, or something follows it", "There are bytes after the end of the ZIP, or its end was cut off.", _ZIP_AGAIN),
    "files-left-out": FindingCode(NOTE, "Other files are left out", "Files that are neither images nor annotations are left out; they are never written to disk.", "Nothing to do; they do not count for the fingerprint.", "dropped"),
    "hidden-left-out": FindingCode(NOTE, "Hidden files are left out", "Files that are hidden, or in a hidden or system folder (`.ipynb_checkpoints`, `@eaDir`), are left out.", "Nothing to do; if they belong to the dataset, rename the folder.", "dropped"),
    "names-differ-in-case": FindingCode(WARNING, "Names differ only in upper and lower case", "Two names differ only in upper and lower case.", "Rename one of them."),
    "names-encoding-guessed": FindingCode(WARNING, "The encoding of file names is guessed", "Names are not UTF-8 and declare no encoding; all were read in one guessed encoding, which may give wrong letters.", "Check the names; if they are wrong, create the ZIP with a tool that writes UTF-8 names."),
    "names-unusual": FindingCode(NOTE, "File names have spaces or special characters", "Names have spaces or characters beyond ASCII; the files that trainers read get ASCII names.", _NOTHING),
    "formats-none": FindingCode(ERROR, "No dataset format is recognised", "Before an upload: by the names of the files, no dataset format can match.", "Add annotations, or put the images into one folder for each class; GET /formats describes each format."),
    "formats-mixed": FindingCode(ERROR, "Images are labelled in different formats", "Some images are labelled in one format and others in another; only one format is read.", "Export the labels of all images in one format.", "left out, and the images that only they label"),
    "annotations-unread": FindingCode(ERROR, "A file with labels is not read", "A table, JSON, XML or text file names images of the dataset and gives labels or splits, but no reader of Darkroom reads it, and without it labels or splits would be wrong; or beside folders of classes lies a file of another kind that is named as annotations are.", "Convert it into one of the formats of GET /formats; or remove the file if it does not describe the labels.", "the images that it may label are left out"),
    "annotations-left-out": FindingCode(NOTE, "A second file with labels is not read", "A table, JSON, XML or text file that gives labels or splits is not read: the labels of all images are read from other files.", "Nothing to do, or remove the file.", "dropped"),
    "formats-several": FindingCode(NOTE, "There are annotations in several formats", "The archive has annotations in several formats; the most complete one is read.", "Nothing to do, or upload only the annotations that you mean.", "the others are dropped"),
}  # fmt: skip

IMAGE_CODES: Mapping[str, FindingCode] = {
    "image-alpha": FindingCode(NOTE, "Transparency is ignored", "The image has transparency, which trainers ignore.", "Nothing to do, or save it on the background that you mean."),
    "image-ambiguous": FindingCode(ERROR, "An annotation fits several images", "An annotation could belong to several images.", "Give each image a unique name; or put it beside its annotation, in COCO write its path in `file_name`.", _LEFT_OUT),
    "image-animated": FindingCode(WARNING, "An image has several frames", "The image has several frames or pages; the first one is used.", "Save the frame that you mean as an image of its own."),
    "image-annotated-twice": FindingCode(ERROR, "An image has two annotations", "An image has two annotations.", "Keep one of them.", _LEFT_OUT),
    "image-cmyk": FindingCode(WARNING, "An image is in CMYK", "The image is in CMYK and is converted to RGB without a colour profile.", "Save it as RGB."),
    "image-converted": FindingCode(NOTE, "Images are converted to PNG", "The image is converted to PNG for training.", _NOTHING),
    "image-crashes-decoder": FindingCode(ERROR, "An image cannot be decoded safely", "Decoding the image crashes the decoder or does not finish in time.", "Save the image again, or remove it together with its annotation.", _LEFT_OUT),
    "image-high-bit-depth": FindingCode(WARNING, "An image has more than 8 bits per channel", "The image has more than 8 bits per channel and is reduced to 8, from the bit depth that nearly all values in the dataset need.", "Save it with 8 bits per channel, scaled as you need it."),
    "image-duplicate": FindingCode(NOTE, "Images have the same bytes", "Two images have the same bytes. They are kept in one split, unless a given split separates them.", _NOTHING),
    "duplicate-labels-differ": FindingCode(WARNING, "Copies of an image are labelled differently", "Two images with the same bytes have different boxes or classes.", "Keep the correct one."),
    "frozen-test-image": FindingCode(WARNING, "An image is in the frozen test set", "An image of the project's frozen test set, or a near-duplicate of one: saved again, scaled, or cropped by up to 5 % at an edge. It is left out, so that nothing is trained on it.", "Nothing to do. Its annotations belong in the frozen dataset."),
    "image-near-duplicate": FindingCode(NOTE, "Images look almost the same", "An image looks almost the same as another. They are kept in one split, unless a given split separates them.", _NOTHING),
    "image-empty": FindingCode(ERROR, "An image file is empty", "The file has no bytes.", _REPLACE, _LEFT_OUT),
    "image-extension": FindingCode(WARNING, "A file extension does not match the image", "The file extension does not match the content, which decides.", "Rename the file.", "renamed"),
    "image-missing": FindingCode(ERROR, "An image is missing", "The image of an annotation is not in the archive.", "Add the image, or remove the annotation.", "left out, and images without any annotation"),
    "image-kind-unread": FindingCode(ERROR, "A file type is not read as an image", "The image of an annotation is a file that is not read: a raw file of a camera, a document of layers, a drawing, a video.", "Save it as JPEG or PNG, and use that name in the annotation.", "left out, and images without any annotation"),
    "image-odd-bytes": FindingCode(NOTE, "An image file has something unusual in it", "Readers of images treat something in the bytes of the file differently; the prepared dataset holds the image without it.", _NOTHING),
    "image-palette": FindingCode(NOTE, "Images have a colour palette", "Images are stored with a colour palette, as masks and screenshots often are.", "Check that they are not masks; photographs rarely have a palette."),
    "image-same-stem": FindingCode(WARNING, "Two images compete for an annotation", "The annotation belongs to another image with the same name; this one is used as background.", "Remove the image, or give it an annotation of its own."),
    "image-too-large": FindingCode(ERROR, "An image is too large", "The image exceeds the limit of pixels or bytes.", "Save it smaller.", _LEFT_OUT),
    "image-too-small": FindingCode(ERROR, "An image is too small", "The image is too narrow or too low to train on.", _REPLACE, _LEFT_OUT),
    "image-truncated": FindingCode(ERROR, "An image file is cut off", "The image file ends too early.", _REPLACE, _LEFT_OUT),
    "image-exif-rotated": FindingCode(NOTE, "An image is rotated by its EXIF data", "The stored image is rotated or mirrored, as its EXIF orientation says; it is read upright.", "Nothing to do, or save it upright."),
    "image-unreadable": FindingCode(ERROR, "An image cannot be read", "The image cannot be decoded.", _REPLACE, _LEFT_OUT),
    "image-without-annotation": FindingCode(NOTE, "An image has no annotation: background", "The image has no annotation and is used as background: an image with no objects.", "Annotate it if it has objects."),
    "image-without-class": FindingCode(WARNING, "An image has no class", "The image is in no class folder, or not in the table of classes, and is left out.", "Move it into the folder of its class, add its row, or remove it.", _LEFT_OUT),
    "image-unlabelled": FindingCode(ERROR, "Images have no label", "Images have no label, and nothing shows that they have no objects: not every annotation was used, or they do not lie among labelled images, or they are half of the dataset or more.", "Add their labels or remove the images; if they have no objects, set background=unlabelled.", _LEFT_OUT),
    "labelled-images-left-out": FindingCode(WARNING, "Labelled images are left out", "Images that have labels are left out, because of the folder that they are in.", "If they belong to the dataset, move them, or name their folder in data.yaml."),
    "runs-left-out": FindingCode(NOTE, "The output of a trainer is left out", "The output of a trainer (`runs/`, plots, mosaics of batches) is left out.", _NOTHING, "dropped"),
    "copies-left-out": FindingCode(NOTE, "Copies of images are left out", "Images in a folder named as predictions, drawings or previews are, with the names of other images, are left out.", "Nothing to do; if they belong to the dataset, rename the folder.", "dropped"),
    "outside-parts-left-out": FindingCode(NOTE, "Images outside of train, val and test are left out", "Images in none of the folders and lists that data.yaml names as train, val and test are left out, as trainers do.", "Nothing to do; if they belong to the dataset, name their folder in data.yaml.", "dropped"),
    "masks-left-out": FindingCode(NOTE, "Segmentation masks are left out", "Segmentation masks are left out: they are labels, not images to detect objects in.", _NOTHING, "dropped"),
}  # fmt: skip

BOX_CODES: Mapping[str, FindingCode] = {
    "box-at-edge": FindingCode(NOTE, "A box touches the edge of the image", "The box reaches at most one pixel beyond the image and is clipped.", _NOTHING, "clipped"),
    "box-clipped": FindingCode(WARNING, "A box reaches beyond the image", "The box reaches beyond the image, with most of its area inside, and is clipped.", "Draw it inside the image.", "clipped"),
    "box-corner-twice": FindingCode(ERROR, "A box gives a corner twice", "A box gives one of its corners twice.", "Keep the correct one.", _LEFT_OUT),
    "box-duplicate": FindingCode(WARNING, "A box is listed twice", "The same box is listed twice.", "Remove one of them.", "one is dropped"),
    "box-elongated": FindingCode(NOTE, "A box is very long and narrow", "One side of the box is more than 40 times the other.", _CHECK_BOX),
    "boxes-as-fractions": FindingCode(WARNING, "Boxes are read as fractions of the image", "All boxes of a COCO file lie within 0 .. 1 and are read as fractions of the image.", "Check the boxes in the gallery; COCO has them in pixels."),
    "box-fractions": FindingCode(ERROR, "Boxes in pixels look like fractions", "The boxes of a format in pixels look like fractions of the image.", "Multiply x and width by the width of the image, y and height by its height.", _LEFT_OUT),
    "box-inverted": FindingCode(ERROR, "The corners of a box are swapped", "The minimum of a box is above its maximum.", "Swap the two corners.", "swapped"),
    "box-missing": FindingCode(ERROR, "An object has no box", "An object has no box.", "Draw its box, or remove the object.", _LEFT_OUT),
    "box-not-a-number": FindingCode(ERROR, "A coordinate is not a number", "A coordinate is not a finite number.", "Correct the coordinates.", _LEFT_OUT),
    "box-not-normalised": FindingCode(ERROR, "A YOLO label is in pixels", "A YOLO label is in pixels instead of fractions of the image.", "Divide x and width by the width of the image, y and height by its height.", _LEFT_OUT),
    "box-outside": FindingCode(ERROR, "A box is outside the image", "The box is completely or mostly outside the image.", "Draw the box again on this image, or remove it.", "clipped where 2 px of it are inside, else dropped"),
    "box-several": FindingCode(ERROR, "An object has several boxes", "An object has several boxes.", "Write one object for each box.", _LEFT_OUT),
    "box-tiny": FindingCode(WARNING, "A box is tiny", "A side of the box is shorter than 2 px.", _CHECK_BOX),
    "box-whole-image": FindingCode(NOTE, "A box covers the whole image", "The box covers the whole image.", _CHECK_BOX),
    "box-units-mixed": FindingCode(ERROR, "Boxes are in pixels and in fractions", "Some boxes of the dataset are fractions of the image, others are in pixels.", "Write all of them in one unit.", _LEFT_OUT),
    "box-zero-area": FindingCode(ERROR, "A box has no area", "The box has no area.", "Draw it again, or remove it.", "dropped"),
    "boxes-rotated": FindingCode(WARNING, "Boxes are rotated with their image", "The boxes refer to the stored pixels of an image with an EXIF rotation; they are rotated with the image.", "Label the upright image."),
    "rotated-as-boxes": FindingCode(WARNING, "Rotated boxes become upright ones", "Rotated boxes are replaced by the upright boxes around them, which are larger.", "Check that upright boxes serve your purpose."),
    "shape-without-box": FindingCode(ERROR, "A shape has no area", "A shape is a point or a line, or its points are not those of an area: it has no box.", "Draw its box, or remove the shape.", _LEFT_OUT),
    "size-missing": FindingCode(NOTE, "The size of an image is not stated", "The declared image size is missing or 0; the decoded image decides.", _NOTHING, "set"),
    "size-scaled": FindingCode(ERROR, "Boxes may be drawn on another size of the image", "The declared image size is that of the image times a factor, and the boxes fit it: they may have been drawn on a larger or smaller copy of the image.", "Declare the size of the image that is in the archive, with boxes drawn on it.", "where one image proves that its boxes were drawn on the declared size, those of the whole dataset are scaled; where nothing proves it, the image is left out"),
    "size-wrong": FindingCode(WARNING, "The stated size of an image is wrong", "The declared image size is not that of the decoded image, which decides.", "Check whether the boxes were drawn on the declared size; a repair decides this for the whole dataset.", "set; where one image proves that its boxes were drawn on the declared size, those of the whole set are scaled; left out where they fit neither size"),
    "polygons-as-boxes": FindingCode(NOTE, "Polygons become boxes", "Polygons are replaced by the boxes around them.", _NOTHING),
    "confidence-left-out": FindingCode(WARNING, "A confidence column is left out", "YOLO labels have a sixth column, which is read as a confidence and left out.", "Check that the labels are not the predictions of a model."),
    "box-columns-unclear": FindingCode(ERROR, "The columns of the boxes are unclear", "The numbers of the boxes do not fit the columns that the format states, or fit several.", "Write the boxes as the format states them; in a table, name the columns of the corners (xmin, ymin, xmax, ymax).", _LEFT_OUT),
    "corners-as-boxes": FindingCode(WARNING, "Corners are read in place of centre and size", "YOLO labels hold the corners of the boxes in place of centre, width and height, and are read so.", "Check the boxes in the gallery; YOLO has the centre, the width and the height."),
    "crowds-left-out": FindingCode(NOTE, "Crowd annotations are left out", "COCO crowd annotations (`iscrowd`) are left out.", _NOTHING, "dropped"),
    "track-id-left-out": FindingCode(WARNING, "Track ids are left out", "YOLO labels have a track id after the box, as `yolo track` saves it; it is left out.", "Check that the labels are not the predictions of a model."),
    "boxes-oriented": FindingCode(WARNING, "Oriented boxes become upright ones", "YOLO labels are oriented boxes of four corners; each is replaced by the upright box around it.", "Check that upright boxes are what you want to train on."),
    "keypoints-left-out": FindingCode(NOTE, "Keypoints are left out", "Keypoints after a box are left out.", _NOTHING),
}  # fmt: skip

CLASS_CODES: Mapping[str, FindingCode] = {
    "class-empty": FindingCode(WARNING, "A class folder is empty", "A folder among the class folders has no images; it is not a class.", "Add images to it, or remove it."),
    "class-folders-merged": FindingCode(WARNING, "Class folders of one name become one class", "Class folders of one name are in several parent folders; they become one class.", "Nothing to do, or name each class folder after its parent too (potato_healthy, tomato_healthy)."),
    "class-id-unknown": FindingCode(ERROR, "A class number has no name", "A class number is not a whole number, or has no name.", "Correct the number, or add the name of the class.", _LEFT_OUT),
    "class-list-elsewhere": FindingCode(WARNING, "The class names come from another folder", "Label files have no list of classes in or above their folder; that of another folder is used.", "Put the list beside the label files, or at the top of the archive."),
    "class-list-missing": FindingCode(ERROR, "Label files have no list of class names", "Label files have no list of classes in or above their folder, and those of other folders differ.", "Put the list that their numbers refer to beside the label files.", _LEFT_OUT),
    "class-list-unclear": FindingCode(ERROR, "A list of class names is ambiguous", "A list counts its classes from 1, and the labels do not show whether they do; or it has a comment, which counts as a class elsewhere.", "Write the names into classes.txt, one a line, the name of class 0 first.", _LEFT_OUT),
    "class-list-unread": FindingCode(ERROR, "A list of class names is not read", "A file is named as a list of class names is, and is not read.", "Write the names into classes.txt, one a line, or remove the file.", _LEFT_OUT),
    "class-list-unused": FindingCode(WARNING, "A list of class names has no effect", "A list of class names has no effect: another one counts.", "Remove it, or check that the names in use are the right ones.", "dropped"),
    "class-lists-differ": FindingCode(ERROR, "Two lists of class names differ", "Two lists of class names that are valid for the same label files differ.", "Keep the one that the numbers in the labels refer to.", _LEFT_OUT),
    "class-name-empty": FindingCode(ERROR, "A class has no name", "A class or an object has no class name.", "Add the name, or remove the entry.", _LEFT_OUT),
    "class-name-invalid": FindingCode(ERROR, "A class name cannot be read", "A class name holds a control character, or half of a surrogate pair.", "Write the name again, as plain text.", _LEFT_OUT),
    "class-name-spaces": FindingCode(NOTE, "A class name has spaces around it", "A class name is written with and without spaces around it; both are the same class.", "Nothing to do, or remove the spaces."),
    "class-name-too-long": FindingCode(ERROR, "A class name is too long", "A class name exceeds the length limit.", "Shorten it.", _LEFT_OUT),
    "class-name-twice": FindingCode(WARNING, "Two class numbers have the same name", "Two class numbers have the same name; they become one class.", "Give each class a unique name."),
    "class-names-missing": FindingCode(WARNING, "No file names the classes", "No file names the classes; their numbers are used as names.", "Add a data.yaml with `names`."),
    "class-names-similar": FindingCode(WARNING, "Class names are nearly the same", "Class names differ only in case, spaces or punctuation.", "If they are the same class, use one spelling."),
    "class-named-like-part": FindingCode(WARNING, "A class is named like a part of the split", "A folder named like a part of a split (test, val) lies among the class folders and is read as a class.", "If it is a part, put the folders of the classes into it, or remove it."),
    "class-nested": FindingCode(WARNING, "A class folder has subfolders", "Images are in subfolders of a class folder; they belong to that class.", "Nothing to do, or move them into the folder of their class."),
    "class-not-in-split": FindingCode(WARNING, "A class is missing from val or test", "A class has no image in val or in test, so it is not measured there.", "Add images of the class, or have a new split made (split=remake)."),
    "class-not-in-train": FindingCode(ERROR, "A class is missing from train", "A class has no image in train.", _REMAKE),
    "class-order-invalid": FindingCode(ERROR, "The order of the classes is not valid", "class_order.txt gives no single order: it repeats a name, has too many, or is there more than once.", "Keep one class_order.txt, with each name of a class once, one a line."),
    "class-order-unused": FindingCode(NOTE, "The order names classes that no image has", "class_order.txt names classes that no image has; they get no id.", _NOTHING),
    "class-rare": FindingCode(WARNING, "A class has too few images", "A class is in fewer than three images: too few for train, val and test.", "Add images of the class, or remove it."),
    "class-unused": FindingCode(NOTE, "A class has no boxes", "Named classes have no boxes; they are not classes of the dataset.", _NOTHING),
    "folders-repeated": FindingCode(NOTE, "A folder repeats the images of its parent", "A folder holds the same images as its parent folder and is left out.", "Nothing to do, or create the ZIP without it.", "dropped"),
    "no-boxes": FindingCode(ERROR, "There is no usable box", "The dataset has no usable box.", "Annotate some images."),
    "too-many-classes": FindingCode(ERROR, "There are too many classes", "The dataset has more classes than the limit.", "Check the column or the folders that name the classes: captions, ids or file names are no classes."),
    "boxes-too-many": FindingCode(ERROR, "There are too many boxes", "An image or the dataset has more boxes than the limit.", "Split the dataset into several; if the file repeats lines, write each box once."),
    "entries-too-many": FindingCode(ERROR, "An annotation file lists too many images", "An annotation file lists more images than the limit.", "List the images of the archive alone, each once."),
    "too-few-classes": FindingCode(ERROR, "There are too few classes", "Fewer than two classes have usable images.", "Add images of another class."),
    "too-few-images": FindingCode(ERROR, "There are too few images", "The dataset has fewer than three usable images.", "Add images."),
}  # fmt: skip

ANNOTATION_CODES: Mapping[str, FindingCode] = {
    "filename-differs": FindingCode(WARNING, "An XML names another image", "<filename> names a different file than the image that the XML was matched to.", "Check that the image and the boxes belong together.", "set where the XML is rewritten"),
    "xml-dtd": FindingCode(ERROR, "An XML has a DTD or entities", "The XML has a DTD or entities, which are never read.", "Remove them.", _LEFT_OUT),
    "xml-empty": FindingCode(ERROR, "An XML file is empty", "The XML file is empty.", "Restore the file, or remove it.", _LEFT_OUT),
    "xml-encoding": FindingCode(WARNING, "An XML states the wrong encoding", "The XML declares an encoding that its bytes contradict: they are UTF-8 and are read as that.", "Correct the encoding in the first line, or save the file in the encoding that it declares."),
    "xml-invalid": FindingCode(ERROR, "An XML is not well-formed", "The XML is not well-formed, or has an unknown encoding.", "Correct the XML and save it as UTF-8.", _LEFT_OUT),
    "xml-not-voc": FindingCode(WARNING, "An XML is not an annotation", "The root of the XML is not <annotation>; the file is left out.", "Remove the file if it is not an annotation.", "dropped"),
    "xml-objects-unread": FindingCode(ERROR, "An XML has boxes where none are read", "The XML gives boxes or corners outside of <object>, where they are not read.", "Export it as plain Pascal VOC: <object> with <name> and <bndbox>.", _LEFT_OUT),
    "xml-structure": FindingCode(WARNING, "An XML differs from the usual structure", "The XML differs from the usual structure of VOC (voc.xsd); it is read as far as it is unambiguous.", "Correct the line as pipeline/formats/voc.xsd describes it."),
    "xml-too-deep": FindingCode(ERROR, "An XML is nested too deeply", "The XML is nested too deeply.", "Export it as plain Pascal VOC.", _LEFT_OUT),
    "xml-too-large": FindingCode(ERROR, "An XML is too large", "The XML exceeds the size limit of an annotation.", "Write one XML file for each image.", _LEFT_OUT),
    "label-file-too-large": FindingCode(ERROR, "A label file is too large", "A label file exceeds the size limit for one image.", "Check that it holds the labels of one image only.", _LEFT_OUT),
    "label-line-invalid": FindingCode(ERROR, "A line of a label file cannot be read", "A line of a label file is neither a box nor a polygon.", "Write `class x_centre y_centre width height`, separated by spaces.", _LEFT_OUT),
    "text-encoding": FindingCode(ERROR, "A text file is not UTF-8", "A text file is neither UTF-8 nor UTF-16; its letters are not guessed.", "Save the file as UTF-8.", _LEFT_OUT),
    "text-too-large": FindingCode(ERROR, "A list of names is too large", "A list of names exceeds the size limit of a text file.", "Check that it is a list, with one name on each line."),
    "yaml-count-differs": FindingCode(WARNING, "The number of classes differs from their names", "`nc` differs from the number of names, which decides.", "Correct `nc`.", "dropped"),
    "yaml-download": FindingCode(WARNING, "A download in data.yaml is ignored", "`download` is ignored: the archive is the only source of data.", "Remove it.", "dropped"),
    "yaml-invalid": FindingCode(ERROR, "data.yaml cannot be read", "data.yaml cannot be read as plain YAML.", "Write plain UTF-8 YAML with only `names` and the paths of the splits."),
    "yaml-key-twice": FindingCode(WARNING, "A key of data.yaml is listed twice", "A key is listed twice; the last one is used.", "Remove one of them.", "one is dropped"),
    "yaml-model": FindingCode(NOTE, "A YAML file describes a model", "A YAML file describes a model, not a dataset; it is left out.", _NOTHING, "dropped"),
    "yaml-names-invalid": FindingCode(ERROR, "The class names in data.yaml are not valid", "`names` is not one name for each class number.", "Write a list of names, or one `0: name` for each class."),
    "yaml-path-case": FindingCode(WARNING, "A path in data.yaml differs in upper and lower case", "data.yaml names a folder or list that differs in upper and lower case from the one in the archive, which is used.", "Correct the path.", "written as lists"),
    "yaml-path-missing": FindingCode(WARNING, "A path in data.yaml does not exist", "data.yaml names a folder or list of a split that is not in the archive.", "Correct the path.", "written as lists"),
    "yaml-several": FindingCode(WARNING, "A second data.yaml is ignored", "A second YAML file names different classes and is ignored.", "Upload one dataset at a time.", "dropped"),
    "table-columns": FindingCode(NOTE, "How the columns of a table were read", "What the columns of a table were read as.", "Check that it is what they mean."),
    "table-invalid": FindingCode(ERROR, "A table cannot be read", "A table cannot be read to its end.", "Save it as CSV in UTF-8, with one header row.", _LEFT_OUT),
    "table-row-invalid": FindingCode(ERROR, "A row of a table cannot be read", "A row of a table names no image, or has more or fewer cells than the header.", "Correct the row; put cells with the delimiter in quotes.", _LEFT_OUT),
    "parquet-invalid": FindingCode(ERROR, "A Parquet file cannot be used", "A Parquet file cannot be read, is too large to be read in parts, has no column of images and of boxes or classes, or has other classes than the others.", "Write it again as the Hugging Face hub has it: `image` with the bytes, and `label` or `objects`; row groups below 1 GiB."),
    "parquet-path-made": FindingCode(NOTE, "Images of Parquet files got a path", "Rows of Parquet files state no path for their image, or one that it cannot have; it gets one.", "Nothing to do; or write a column `path` with a relative path that no other row has.", "kept as it is now"),
    "json-annotation-twice": FindingCode(WARNING, "Two annotations have the same id", "Two annotations have the same id.", "Give each annotation a unique id.", "new ids are assigned"),
    "json-entry-invalid": FindingCode(ERROR, "An entry of a JSON lacks a field", "An image, category or annotation lacks a required field.", "Add the field that the detail names.", "left out"),
    "json-id-twice": FindingCode(ERROR, "Two entries of a JSON have the same id", "Two images or two categories have the same id.", "Give each one a unique id.", _LEFT_OUT),
    "json-image-unknown": FindingCode(ERROR, "An annotation refers to an unknown image", "An annotation refers to an image that is not listed in `images`.", "List the image, or remove the annotation.", "left out, and images without any annotation"),
    "json-invalid": FindingCode(ERROR, "A JSON file cannot be read", "The JSON is invalid or incomplete.", "Correct the JSON, or export it again."),
    "json-ids-mixed": FindingCode(NOTE, "Ids are partly text and partly numbers", "Ids in a JSON are partly text and partly numbers; '1' is read as 1.", "Nothing to do, or write all ids as numbers.", "new ids are assigned"),
    "json-sum-differs": FindingCode(ERROR, "A JSON contradicts the others", "A JSON lists images that other JSON files list too, with other boxes or with more images.", "Keep either the one file or the others.", _LEFT_OUT),
    "json-sum-left-out": FindingCode(NOTE, "A JSON repeats the others and is left out", "A JSON is the sum of others, with the same images and boxes; it is left out.", _NOTHING, "dropped"),
    "json-left-out": FindingCode(NOTE, "A JSON without boxes is left out", "A JSON file without boxes (captions, keypoints) is left out.", _NOTHING, "dropped"),
}  # fmt: skip

SPLIT_CODES: Mapping[str, FindingCode] = {
    "split-conflict": FindingCode(WARNING, "An image is named in two parts of the split", "Two lists, or other sources of a split, name different parts for an image; none is trained on that one of several equal lists holds out.", "Name each image once, or correct the source that does not count.", "listed once"),
    "split-file-unknown": FindingCode(ERROR, "A file belongs to no part of the split", "An annotation file beside one for train is not named like a part of the split, and its images are in none.", "Name the file after its part (train, val, test), or have a new split made (split=remake).", _LEFT_OUT),
    "split-held-out": FindingCode(ERROR, "An image to train on is held out elsewhere", "Images would be trained on that another source of the split (a list, a file, a folder) holds out for val or test.", "Make both agree, or remove the one that is wrong; or have a new split made (split=remake).", _LEFT_OUT),
    "split-list-held-out": FindingCode(ERROR, "A list for val or test has no effect", "A list that is named as val or test has no effect, so images that it holds out may be trained on.", "Correct the names in the list, or name it train.txt, val.txt or test.txt; or have a new split made (split=remake).", _LEFT_OUT),
    "split-list-unused": FindingCode(WARNING, "A list of images has no effect", "A text file names images, but no part of a split, and has no effect.", "Name it train.txt, val.txt or test.txt if it gives a split, or remove it.", "dropped"),
    "split-value-unknown": FindingCode(WARNING, "A part of the split is unknown", "A column gives parts of a split other than train, val and test; they have no effect.", "Write train, val or test."),
    "split-folder-unknown": FindingCode(WARNING, "A folder is no part of the split", "A folder beside train/ or val/ is not named like a part of a split.", "Rename the folder to train, val or test, or remove it."),
    "split-leak": FindingCode(WARNING, "An image is in two parts of the split", "The same image is in two parts of the given split.", "Keep the copies in one part, or have a new split made (split=remake)."),
    "split-leak-near": FindingCode(WARNING, "A test image looks like one that is trained on", "A val or test image looks almost the same as one that is trained on.", "Keep such images in one part, or have a new split made (split=remake)."),
    "split-list-ambiguous": FindingCode(WARNING, "A line of a split list fits several images", "A line of a split list could be several images; all are used.", "Write the path of each image from the root of the archive."),
    "split-list-unknown": FindingCode(WARNING, "A split list names a missing image", "A split list names an image that is not in the archive.", "Add the image, or remove the line.", "dropped"),
    "split-partial": FindingCode(WARNING, "Images are in no part of the split", "Images are in no part of the given split and are added to train.", _REMAKE),
    "split-same-folder": FindingCode(WARNING, "Two splits name the same folder", "Two splits name the same folder.", "Give each split a folder of its own."),
    "split-sequence-leak": FindingCode(WARNING, "Images of neighbouring splits look almost the same", "With split=sequence, val and test images look almost the same as images that are trained on.", "Measure with care, or give a split by day or camera."),
    "split-uneven": FindingCode(WARNING, "A split is smaller than requested", "A split is much smaller than requested, because near-duplicates are kept together.", "Nothing to do, or give a split of your own."),
    "split-unusable": FindingCode(WARNING, "The given split is replaced by a new one", "The archive gives only train, or no train; a new split of all images is made.", "Nothing to do, or add the missing part; then the given split is kept."),
    "split-val-from-train": FindingCode(NOTE, "Validation images are taken from train", "The given split has no usable validation image; some images are moved from train.", _NOTHING),
    "split-val-unlabelled": FindingCode(WARNING, "The validation images have no boxes", "No image of the validation split has a box, so nothing can be measured on it.", _REMAKE),
    "split-without-test": FindingCode(WARNING, "There is no test split", "There is no test split; the model is measured on the validation split.", "Add a test part, or have a new split made (split=remake)."),
    "split-without-val": FindingCode(ERROR, "No image is left for validation", "No image is left for validation.", "Add images; or give a split of your own, which is kept; or have images of one camera split by the order of their names (split=sequence)."),
}  # fmt: skip

REPAIR_CODES: Mapping[str, FindingCode] = {
    "repair-box-clipped": FindingCode(NOTE, "A box was clipped to the image", "The box was clipped to the image.", _REPAIRED),
    "repair-box-dropped": FindingCode(NOTE, "A box was removed", "The box was removed: it was outside the image, had no area, or was a duplicate.", _REPAIRED),
    "repair-box-swapped": FindingCode(NOTE, "The corners of a box were swapped", "The corners of the box were swapped.", _REPAIRED),
    "repair-boxes-rescaled": FindingCode(NOTE, "Boxes were scaled to their image", "The boxes were drawn on a larger or smaller copy of the image and were scaled.", _REPAIRED),
    "repair-entry-left-out": FindingCode(NOTE, "An annotation was left out", "An annotation, or an entry of one, was left out because it cannot be used.", _REPAIRED),
    "repair-file-dropped": FindingCode(NOTE, "A file was left out", "A file was left out: it is not part of the dataset, or its content was rewritten to another file.", _REPAIRED),
    "repair-junk-dropped": FindingCode(NOTE, "A file that is no data was left out", "A file was left out: it is neither an image nor an annotation.", _REPAIRED),
    "repair-image-left-out": FindingCode(NOTE, "An image was left out", "The image was left out: it or its annotation cannot be repaired, or it would wrongly count as background.", _REPAIRED),
    "repair-image-renamed": FindingCode(NOTE, "An image was renamed", "The image was renamed to the file extension of its content.", _REPAIRED),
    "repair-size-fixed": FindingCode(NOTE, "The stated size of an image was corrected", "The declared size was set to that of the image.", _REPAIRED),
}  # fmt: skip

EXTENSION_CODES: Mapping[str, FindingCode] = {
    "extend-annotations-replaced": FindingCode(WARNING, "An image got new annotations", "An added image is in the dataset already, with other annotations: the new ones take their place. Its path and split stay.", "Check that the new annotations are meant."),
    "extend-class-added": FindingCode(NOTE, "A class is new", "A class is new. It comes after all others, whose ids stay.", _NOTHING),
    "extend-class-dropped": FindingCode(WARNING, "A class is gone", "No image has a class any more; the ids of the classes after it become smaller.", "Nothing to do, or keep an image of the class."),
    "extend-image-corrected": FindingCode(NOTE, "An image was corrected", "The annotations of an image were corrected.", _NOTHING),
    "extend-image-known": FindingCode(NOTE, "An added image is there already", "An added image is in the dataset already, or in the upload twice, and states nothing new.", _NOTHING),
    "extend-image-removed": FindingCode(NOTE, "An image was taken out", "An image was taken out. If it comes back, it has the split that it had.", _NOTHING),
    "extend-image-renamed": FindingCode(NOTE, "An added image got another path", "An added image has the path of another one of the dataset and gets a path of its own.", "Nothing to do, or remove the other one, if it was to be replaced."),
    "extend-kind-differs": FindingCode(ERROR, "What is added is of another kind", "What is added is of another kind than the dataset: boxes and classes of whole images do not mix.", "Add annotations of the dataset's kind, or upload it as a dataset of its own."),
    "extend-remove-unknown": FindingCode(WARNING, "An image to take out is not there", "A path that is to be taken out is not in the dataset.", "Write paths as `GET /dataset/images/{job_id}` has them."),
    "extend-split-tied": FindingCode(WARNING, "An added image resembles two splits", "An added image resembles images of two splits. It is left out: no split may hold a near-duplicate of another.", "Nothing to do, or take one of the others out."),
}  # fmt: skip

SECTIONS: Mapping[str, Mapping[str, FindingCode]] = {
    "The archive": ARCHIVE_CODES,
    "Images": IMAGE_CODES,
    "Boxes": BOX_CODES,
    "Classes": CLASS_CODES,
    "Annotation files": ANNOTATION_CODES,
    "Splits": SPLIT_CODES,
    "The log of a repair": REPAIR_CODES,
    "Extensions and corrections": EXTENSION_CODES,
}
FINDING_CODES: Mapping[str, FindingCode] = {code: entry for part in SECTIONS.values() for code, entry in part.items()}

_HEAD = ("| finding | code | severity | meaning | what to do | repair |", "|---|---|---|---|---|---|")


def title_of(code: str) -> str:
    """Of a code that the catalogue has no more, the words of the code."""
    known = FINDING_CODES.get(code)
    return known.title if known else code.replace("-", " ").capitalize()


def findings_page() -> str:
    """The text of docs/findings.md."""
    lines = [
        "# Findings",
        "",
        "Everything wrong or unusual in an upload is reported in one pass, at `GET /jobs/{job_id}/findings`. An **error**",
        "rejects the dataset (with `on_error=skip` it leaves the item out), a **warning** is worth checking, a **note**",
        "explains a number. The last column is what `POST /jobs/{job_id}/repair` does about it.",
        "An option in brackets is a field or query parameter of the upload (`-F split=remake`).",
    ]
    for title, codes in SECTIONS.items():
        lines += ["", f"## {title}", "", *_HEAD]
        for code, entry in codes.items():
            meaning = entry.meaning.replace("<", "&lt;")
            cells = (entry.title, f"`{code}`", entry.severity, meaning, entry.remedy, entry.repaired or "-")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(findings_page(), end="")  # noqa: T201 - the command's output
