"""Datasets with files beside them that are no images of theirs: masks, copies, the output of trainers, tables."""

from tests.builders.voc import Files, annotation, image_bytes

YAML = b"train: images/train\nval: images/val\nnames: [weld]\n"


def labelled_yolo(
    count: int, *, images: str = "images/{part}/{}.jpg", labels: str = "labels/{part}/{}.txt", yaml: bool = True
) -> Files:
    """Each image has one box; the last third is in val."""
    files: Files = {"data.yaml": YAML} if yaml else {"classes.txt": b"weld\n"}
    for number in range(count):
        part = "train" if number < 2 * count / 3 else "val"
        files[images.format(number, part=part)] = image_bytes(seed=number)
        files[labels.format(number, part=part)] = b"0 0.5 0.5 0.4 0.4\n"
    return files


def masks_of(files: Files, folder: str, *, affix: str = "{}", suffix: str = ".png") -> Files:
    """An image in `folder` for each image of `files`, with its stem."""
    stems = [name.rpartition("/")[2].rpartition(".")[0] for name in files if name.endswith(".jpg")]
    made = {f"{folder}/{affix.format(stem)}{suffix}": image_bytes(seed=200 + n) for n, stem in enumerate(stems)}
    return made


def class_folders(pattern: str, classes: tuple[str, ...], count: int) -> Files:
    """`pattern`: with a place for the class and one for a number, the same numbers in every class."""
    return {
        pattern.format(name, number): image_bytes(seed=100 * at + number, format="PNG" if ".png" in pattern else "JPEG")
        for at, name in enumerate(classes)
        for number in range(count)
    }


def one_box(filename: str, name: str = "cat") -> bytes:
    return annotation(filename, [(name, 5, 5, 60, 40)])
