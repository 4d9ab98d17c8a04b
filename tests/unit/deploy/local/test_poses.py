"""The demo's figures: a class is a pose and nothing else."""

import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from deploy.local.poses import CLASSES, SIDE, draw_figures, write_archive
from deploy.local.skeletons import Skeleton, draw_skeleton


def test_the_same_seed_gives_the_same_archive_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_archive(tmp_path / name, figures=4, seed=seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_each_class_is_a_folder_with_the_same_number_of_jpegs(tmp_path: Path) -> None:
    write_archive(tmp_path / "set.zip", figures=3 * len(CLASSES), seed=0)
    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        names = archive.namelist()
        assert Counter(name.split("/")[1] for name in names) == dict.fromkeys(CLASSES, 3)
        with Image.open(BytesIO(archive.read(names[0]))) as image:
            assert (image.format, image.size) == ("JPEG", (SIDE, SIDE))


def test_colour_and_brightness_do_not_depend_on_the_class() -> None:
    means: dict[str, list[object]] = {name: [] for name in CLASSES}
    for figure in draw_figures(40 * len(CLASSES), seed=0):
        means[figure.name].append(np.asarray(figure.image, dtype=np.float64).mean(axis=(0, 1)))
    colours = np.array([np.mean(values, axis=0) for values in means.values()])
    assert np.abs(colours - colours.mean(axis=0)).max() < 14  # of 255; the images of a class differ by 25 and more
    assert np.std([value for values in means.values() for value in values], axis=0).min() > 15


def test_a_figure_is_in_its_pose_when_mirrored_too() -> None:
    for seed in range(40):
        figures = {name: draw_skeleton(np.random.default_rng([seed, 7]), name) for name in CLASSES}
        assert {name for name, one in figures.items() if _hands_above_head(one) == 2} == {"arms raised", "jumping jack"}
        assert _feet_distance(figures["jumping jack"]) > 2 * _feet_distance(figures["arms raised"])
        lying, standing = (_extent(figures[name]) for name in ("lying", "standing"))
        assert lying[0] > 1.5 * lying[1]
        assert standing[1] > 1.5 * standing[0]
        assert _extent(figures["t-pose"])[0] > 1.5 * standing[0]
        assert _extent(figures["sitting"])[1] < standing[1]


def test_shuffled_labels_keep_the_images_and_change_the_folders(tmp_path: Path) -> None:
    true, shuffled = (
        _labels(tmp_path / name, shuffle_labels=shuffle) for name, shuffle in (("a.zip", False), ("b.zip", True))
    )
    assert true.keys() == shuffled.keys()
    assert np.mean([true[content] == shuffled[content] for content in true]) < 0.35  # chance is 0.125


def _labels(path: Path, *, shuffle_labels: bool) -> dict[bytes, str]:
    write_archive(path, figures=64, seed=0, shuffle_labels=shuffle_labels)
    with zipfile.ZipFile(path) as archive:
        return {archive.read(name): name.split("/")[1] for name in archive.namelist()}


def _hands_above_head(figure: Skeleton) -> int:
    """y grows downwards. A lying figure counts as 0: its head lies beside its hands."""
    if _extent(figure)[0] > _extent(figure)[1] * 1.5:
        return 0
    return sum(arm[-1][1] < figure.head[1] for arm in figure.arms)


def _feet_distance(figure: Skeleton) -> float:
    right, left = (np.array(leg[-1]) for leg in figure.legs)
    return float(np.linalg.norm(right - left))


def _extent(figure: Skeleton) -> tuple[float, float]:
    points = np.array(figure.points())
    wide, high = points.max(axis=0) - points.min(axis=0)
    return float(wide), float(high)
