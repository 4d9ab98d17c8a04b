"""Which images belong to a dataset: not hidden files, masks, drawn copies, or the output of trainers."""

from itertools import product
from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.archive.source import Rejected
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from tests.builders.roles import class_folders, labelled_yolo, masks_of, one_box
from tests.builders.voc import Files, annotation, image_bytes, zip_files

WARNED = "labelled-images-left-out"


def _read(tmp_path: Path, files: Files, background: str = "auto") -> tuple[Dataset, list[str]]:
    """The dataset, and the codes of all findings, of the extraction as well."""
    into = tmp_path / "into"
    into.mkdir(exist_ok=True)
    source, findings = extract(zip_files(tmp_path / "data.zip", files), into, threads=1, tick=lambda *_: None)
    dataset = read_dataset(source, findings, background=background)
    return dataset, [finding.code for finding in findings + dataset.findings]


def _images(dataset: Dataset) -> set[str]:
    return {item.image.name for item in dataset.items}


HIDDEN = (".ipynb_checkpoints", ".cache", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", ".git")


@pytest.mark.parametrize(("hidden", "below"), list(product(HIDDEN, ("images/train", "images", ""))))
def test_hidden_and_system_folders_are_no_part_of_a_yolo_set(tmp_path: Path, hidden: str, below: str) -> None:
    files = labelled_yolo(6)
    expected = {name for name in files if name.endswith(".jpg")}
    folder = f"{below}/{hidden}" if below else hidden
    files |= {f"{folder}/copy{n}.jpg": image_bytes(seed=90 + n) for n in range(3)}
    dataset, codes = _read(tmp_path, files)
    assert _images(dataset) == expected
    assert codes == ["hidden-left-out"]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_hidden_folder_is_no_class(tmp_path: Path, hidden: str) -> None:
    files = class_folders("fruit/{}/{}.jpg", ("ripe", "unripe", "rotten"), 3)
    files[f"fruit/{hidden}/1-checkpoint.jpg"] = image_bytes(seed=77)
    dataset, codes = _read(tmp_path, files)
    assert {item.label for item in dataset.items} == {"ripe", "unripe", "rotten"}
    assert codes == ["hidden-left-out"]


def test_labelled_images_in_a_hidden_folder_are_a_warning(tmp_path: Path) -> None:
    files = labelled_yolo(6) | {f".more/{name}": content for name, content in labelled_yolo(2).items()}
    _, codes = _read(tmp_path, files)
    assert codes == ["hidden-left-out", WARNED]


MASKS = (
    "masks",
    "mask",
    "Masks",
    "trimaps",
    "annotations/trimaps",
    "SegmentationClass",
    "SegmentationObject",
    "gt_masks",
)
MORE_MASKS = (
    "train_masks",
    "trainMasks",
    "ground_truth",
    "gt",
    "semantic_masks",
    "maskImages",
    "labelmap",
    "segmentation",
)


@pytest.mark.parametrize(("masks", "affix"), list(product(MASKS + MORE_MASKS, ("{}", "{}_mask", "{}-seg"))))
def test_masks_are_left_out_of_a_yolo_set(tmp_path: Path, masks: str, affix: str) -> None:
    files = labelled_yolo(6)
    expected = {name for name in files if name.endswith(".jpg")}
    files |= masks_of(files, masks, affix=affix)
    dataset, codes = _read(tmp_path, files)
    assert _images(dataset) == expected
    assert all(item.boxes for item in dataset.items)
    assert codes == ["masks-left-out"]


@pytest.mark.parametrize(
    "masks", ["pets/annotations/trimaps", "pets/masks", "pets/images/masks", "pets/annotations/gt"]
)
def test_masks_that_lie_nearer_to_the_xml_than_the_images_get_no_box(tmp_path: Path, masks: str) -> None:
    names = [f"Abyssinian_{n}" for n in range(5)]
    files = {f"pets/images/{name}.jpg": image_bytes(seed=n) for n, name in enumerate(names)}
    files |= {f"pets/annotations/xmls/{name}.xml": one_box(f"{name}.jpg") for name in names}
    files |= {f"{masks}/{name}.png": image_bytes(seed=50 + n, format="PNG") for n, name in enumerate(names)}
    dataset, codes = _read(tmp_path, files)
    assert _images(dataset) == {f"pets/images/{name}.jpg" for name in names}
    assert all(item.boxes for item in dataset.items)
    assert codes == ["masks-left-out"]


def test_masks_beside_images_in_folders_of_classes_are_left_out(tmp_path: Path) -> None:
    files = class_folders("{}/{} (1).png", ("benign", "malignant"), 4)
    files |= {name.replace(".png", "_mask.png"): image_bytes(seed=70 + n) for n, name in enumerate(list(files))}
    dataset, codes = _read(tmp_path, files)
    assert len(dataset.items) == 8 and {item.label for item in dataset.items} == {"benign", "malignant"}
    assert sorted(codes) == ["masks-left-out", "names-unusual"]


CLASSES_NAMED_LIKE_ROLES = [
    ("{}/{}.jpg", ("masks", "gloves", "hats")),
    ("{}/{}.png", ("masks", "gloves", "hats")),
    ("{}/{}.jpg", ("mask", "helmet")),
    ("{}/{}.jpg", ("with_mask", "without_mask")),
    ("{}/{}.png", ("with_mask", "without_mask", "mask_weared_incorrect")),
    ("train/{}/{}.jpg", ("mask", "no_mask")),
    ("{}/{}.jpg", ("runs", "walks")),
    ("{}/train/{}.jpg", ("runs", "walks", "jumps")),
    ("{}/{}.jpg", ("results", "drafts", "letters")),
    ("set/{}/{}.jpg", ("boxes", "bags", "tins")),
]


@pytest.mark.parametrize(("pattern", "classes"), CLASSES_NAMED_LIKE_ROLES)
def test_a_class_may_be_named_like_masks_or_runs(tmp_path: Path, pattern: str, classes: tuple[str, ...]) -> None:
    dataset, codes = _read(tmp_path, class_folders(pattern, classes, 4))
    assert {item.label for item in dataset.items} == set(classes)
    assert codes == []


def test_a_dataset_in_a_folder_named_like_masks_or_predictions_is_read(tmp_path: Path) -> None:
    for root in ("face_masks", "detections", "plant_detection/data", "results", "labels"):
        files = {f"{root}/{name}": content for name, content in labelled_yolo(5).items()}
        dataset, codes = _read(tmp_path, files)
        assert (len(dataset.items), codes) == (5, []), root


COPIES = (
    "predictions",
    "preds",
    "vis",
    "images_with_boxes",
    "visualizations",
    "annotated",
    "thumbnails",
    "overlay",
    "out/debug",
)


@pytest.mark.parametrize(("folder", "affix"), list(product(COPIES, ("{}", "{}_pred", "{}_annotated"))))
def test_drawn_copies_are_left_out(tmp_path: Path, folder: str, affix: str) -> None:
    files = labelled_yolo(5)
    expected = {name for name in files if name.endswith(".jpg")}
    files |= masks_of(files, folder, affix=affix, suffix=".jpg")
    dataset, codes = _read(tmp_path, files)
    assert _images(dataset) == expected
    assert codes == ["copies-left-out"]


def test_a_folder_with_labels_of_its_own_is_no_folder_of_copies(tmp_path: Path) -> None:
    files = labelled_yolo(5, images="annotated/images/{}.jpg", labels="annotated/labels/{}.txt", yaml=False)
    files |= labelled_yolo(5, images="extra/images/{}.jpg", labels="extra/labels/{}.txt", yaml=False)
    dataset, codes = _read(tmp_path, files)
    assert (len(dataset.items), codes) == (10, [])


RUNS = [
    ("runs/detect/train", ("train_batch0.jpg", "confusion_matrix.png", "labels.jpg")),
    ("runs/detect/predict2", ("0.jpg", "1.jpg")),
    ("runs/segment/train", ("val_batch0_labels.jpg",)),
    ("runs/train/exp3", ("train_batch0.jpg", "results.png")),
    ("project/runs/pose/train", ("BoxF1_curve.png",)),
    ("training_1", ("train_batch0.jpg", "val_batch0_pred.jpg", "results.png")),
    ("wandb/run-20260101_101010-abc/files/media/images", ("validation_12.png",)),
]


@pytest.mark.parametrize(("folder", "names"), RUNS)
@pytest.mark.parametrize("yaml", [True, False])
def test_the_output_of_a_trainer_is_left_out(tmp_path: Path, folder: str, names: tuple[str, ...], yaml: bool) -> None:
    files = labelled_yolo(10, yaml=yaml)
    expected = {name for name in files if name.endswith(".jpg")}
    files |= {f"{folder}/{name}": image_bytes(seed=60 + n) for n, name in enumerate(names)}
    files |= {f"{folder}/args.yaml": b"task: detect\nmode: train\ndata: data.yaml\n"}
    dataset, codes = _read(tmp_path, files)
    assert _images(dataset) == expected
    assert all(item.boxes for item in dataset.items)
    assert "runs-left-out" in codes


def test_what_a_data_yaml_names_is_the_set(tmp_path: Path) -> None:
    files = labelled_yolo(10)
    expected = {name for name in files if name.endswith(".jpg")}
    files |= {f"more/{n}.jpg": image_bytes(seed=70 + n) for n in range(4)}
    files |= {f"images/test/{n}.jpg": image_bytes(seed=80 + n) for n in range(2)}
    files |= {f"labels/test/{n}.txt": b"0 0.5 0.5 0.2 0.2\n" for n in range(2)}
    dataset, codes = _read(tmp_path, files)
    assert _images(dataset) == expected
    assert codes == ["outside-parts-left-out", WARNED]


def test_a_darknet_data_file_names_the_set(tmp_path: Path) -> None:
    files = labelled_yolo(8, images="data/obj/{}.jpg", labels="data/obj/{}.txt", yaml=False)
    files |= {
        "data/obj.names": b"weld\n",
        "data/obj.data": b"classes = 1\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n",
        "data/train.txt": b"".join(b"data/obj/%d.jpg\n" % n for n in range(6)),
        "data/valid.txt": b"".join(b"data/obj/%d.jpg\n" % n for n in (6, 7)),
        "chart.jpg": image_bytes(seed=99),
    }
    dataset, codes = _read(tmp_path, files)
    assert len(dataset.items) == 8
    assert "outside-parts-left-out" in codes and "chart.jpg" not in _images(dataset)


def test_parts_that_are_not_in_the_archive_leave_nothing_out(tmp_path: Path) -> None:
    files = labelled_yolo(6, images="pool/{}.jpg", labels="pool/{}.txt")
    dataset, codes = _read(tmp_path, files)
    assert len(dataset.items) == 6
    assert set(codes) == {"yaml-path-missing"}


def test_only_hidden_images_are_no_dataset(tmp_path: Path) -> None:
    files = {f".set/{name}": content for name, content in labelled_yolo(4).items()}
    with pytest.raises(Rejected) as rejected:
        _read(tmp_path, files)
    assert "hidden-left-out" in {finding.code for finding in rejected.value.findings}


def test_a_voc_set_keeps_its_masks_out_whatever_their_names(tmp_path: Path) -> None:
    files = {
        "JPEGImages/a.jpg": image_bytes(),
        "Annotations/a.xml": annotation("a.jpg", [("ball", 5, 5, 30, 30)]),
        "SegmentationClass/other.png": image_bytes(format="PNG"),
    }
    dataset, codes = _read(tmp_path, files)
    assert (_images(dataset), codes) == ({"JPEGImages/a.jpg"}, ["masks-left-out"])
