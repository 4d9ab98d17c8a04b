"""What is right for inputs rebuilt from public bug reports: labels and splits, or the finding that refuses them.

Boxes are (class, left, top, right, bottom) in pixels of the upright image; paths are those of the manifest.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

Box = tuple[str, float, float, float, float]
Labels = tuple[Box, ...] | str  # boxes, or the class of the image


@dataclass(frozen=True)
class Ready:
    """`given`: the split of each image where the archive gives one. `codes`: findings that say how it was read."""

    images: dict[str, Labels]
    given: dict[str, str] = field(default_factory=dict)
    codes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """`words`: of the problem or of the findings of `code`."""

    code: str
    words: tuple[str, ...]
    paths: tuple[str, ...] = ()


def _each(names: Iterable[str], *boxes: Box) -> dict[str, Labels]:
    return dict.fromkeys(names, boxes)


def _split(**parts: Iterable[str]) -> dict[str, str]:
    return {name: part for part, names in parts.items() for name in names}


def _n(pattern: str, numbers: Iterable[int]) -> list[str]:
    return [pattern.format(number) for number in numbers]


def _folders(*classes: str, names: Iterable[str]) -> dict[str, Labels]:
    return {f"{name}/{file}": name for name in classes for file in names}


def _trucks(moved: int, *more: Box) -> tuple[Box, ...]:
    return (("forklift", 32 + 1.6 * moved, 42, 64 + 1.6 * moved, 78), *more)


def _in_parts(parts: tuple[list[str], list[str]], *boxes: Box, codes: tuple[str, ...] = ()) -> Ready:
    """`parts`: the images of train and of val."""
    train, val = parts
    return Ready(_each(train + val, *boxes), _split(train=train, val=val), codes)


def _seven_and_three(stem: str, val: str = "") -> tuple[list[str], list[str]]:
    return _n(stem + "{}.jpg", range(7)), _n((val or stem) + "{}.jpg", range(7, 10))


POLYP: Box = ("polyp", 48, 36, 112, 84)
SNAIL: Box = ("snail", 48, 36, 112, 84)
ODD_NAMES = (
    "0x10",
    "yes",
    "null",
    "02146",
    "a/b",
    "50%",
    'it\'s "q": #1',
    "🍎 apfel",
    "C++",
    "..",
    "-",
    "[x, y]",
    "{0}",
    "~",
)
SYMBOLS = (".", "+", "=", "(", ")", "7")
MODES = ("l.png", "la.png", "one.png", "p.png", "rgba.png", "cmyk.jpg", "i16.png", "gif.gif", "webp.webp", "gray.jpg")
GULLS = {"001.Black_footed_Gull": range(1, 7), "002.Laysan_Gull": range(7, 13), "003.Sooty_Gull": range(13, 19)}
BIRDS: dict[str, Labels] = {f"{gull}/{gull[4:]}_{n:04}.jpg": gull for gull, numbers in GULLS.items() for n in numbers}
WARES = (("Käse", "Müsli", "Brötchen", "Gemüse", "Öl", "Nüsse", "Äpfel"), ("Früchte", "Süßes", "Grünkohl"))
WARE_SPLIT = {f"{name}.jpg": part for part, names in zip(("train", "val"), WARES, strict=True) for name in names}
ODD_BYTES = (
    "trailing.jpg",
    "tall_by_exif.jpg",
    "exif_in_webp.webp",
    "cmyk.jpg",
    "no_eoi.jpg",
    "no_eoi_progressive.jpg",
)
ODD_BYTES += ("no_iend.png", "bad_crc_text.png")
TREES = _folders("ash", "oak", names=_n("{}.jpg", range(8)))
CAMERAS = _n("cam1/images/frame_{:06}.jpg", range(6)), _n("cam2/images/frame_{:06}.jpg", range(6))
BOATS = _n("train/train{}.jpg", range(10)), _n("eval/eval{}.jpg", range(4))
ANTS = _n("{:03}.jpg", range(9)), _n("{:03}.jpg", range(9, 12))
ODD_LINES = _n("train/images/{}.jpg", range(9)), _n("valid/images/{}.jpg", range(9, 12))
GATES = [f"{gate}_gate/{gate}_gate_{{}}.jpg" for gate in ("north", "south")]
LEAVES = [
    (f"{plant}/{state}/{n}.jpg", state)
    for plant in ("potato", "tomato")
    for state in ("healthy", "early_blight")
    for n in range(5)
]
FOXES = {
    **_each(_n("some/folder/image{:03}.jpg", range(6)), ("fox", 64, 48, 96, 72)),
    **_each(_n("another/folder/images/image{:03}.jpg", range(6)), ("fox", 48, 36, 112, 84)),
    **_each(_n("third/images/image{:03}.jpg", range(6)), ("fox", 32, 24, 128, 96)),
}
CRABS: dict[str, Labels] = {
    **_each(_n("train/{}.jpg", (0, 1, 4)), ("crab", 48, 36, 112, 84)),
    **_each(["train/2.jpg"], ("crab", 360, 12, 840, 28)),
    **_each(["train/3.jpg"], ("crab", 3.6, 270, 8.4, 630)),
    **_each(["val/5.jpg"]),
}
SNAILS = {suffix: (_n("train/{}." + suffix, range(6)), _n("val/{}." + suffix, (6, 7))) for suffix in ("png", "jpg")}

EXPECTED: dict[str, Ready | Refused] = {
    "01": Ready(
        _each(
            _n("anna/anna_{:02}.jpg", range(5)) + _n("ben/ben_{:02}.jpg", range(5)),
            ("bolt", 24, 36, 56, 84),
            ("nut", 104, 42, 136, 78),
        )
    ),
    "02": Ready({f"f{n:03}.jpg": _trucks(n) for n in range(8)}, codes=("track-id-left-out",)),
    "02b": Ready(
        {f"f{n:03}.jpg": _trucks(n, ("pallet", 96, 60, 128, 84)) for n in range(8)}, codes=("track-id-left-out",)
    ),
    "03": _in_parts(_seven_and_three("train/g", "val/g"), ("gauge", 64, 50.4, 96, 74.4), codes=("keypoints-left-out",)),
    "05": Refused("text-encoding", ("GBK", "UTF-8"), ("labels/classes.txt",)),
    "06": Ready(
        _folders("犬", "十字", "十円", "ソファ", "ソーダ", names=_n("img_{}.jpg", range(4))),
        codes=("names-encoding-guessed",),
    ),
    "07": Ready(
        {f"{name}/{name}_{n}.jpg": name for name in ("ripe", "unripe", "rotten") for n in range(5)},
        codes=("hidden-left-out",),
    ),
    "08": _in_parts(_seven_and_three("train/w", "val/w"), ("weld", 48, 36, 112, 84), codes=("hidden-left-out",)),
    "10": Ready(
        _each(CAMERAS[0], ("crate", 56, 36, 104, 84)) | _each(CAMERAS[1], ("crate", 40, 36, 120, 84)),
        _split(train=CAMERAS[0], val=CAMERAS[1]),
    ),
    "11": Ready(_each(_n("v{}.jpg", range(8)), ("valve", 160, 120, 480, 312)), codes=("boxes-as-fractions",)),
    "13": _in_parts(
        _seven_and_three("train/o", "val/o"),
        ("apple", 32, 36, 64, 84),
        ("pear", 96, 36, 128, 84),
        codes=("yaml-model",),
    ),
    "15": Ready(
        _each(["Capture_décran.png"], ("button", 32, 24, 128, 96))
        | _each(_n("shot_{:02}.png", range(20)), ("button", 56, 42, 104, 78)),
        options=("--on-error", "skip"),
    ),
    "16": Ready(_each(WARE_SPLIT, ("ware", 20, 20, 80, 80)), WARE_SPLIT),
    "17": Ready(_each(_n("p{}.jpg", range(6)), ("part", 20, 20, 80, 80)), codes=("xml-encoding",)),
    "18": Ready(
        {gate.format(n): ((("truck", "car")[n % 2], 20, 20, 80, 80),) for gate in GATES for n in range(8)},
        codes=("table-columns",),
    ),
    "19": _in_parts(BOATS, ("boat", 20, 20, 80, 80)),
    "20": Ready(BIRDS, {name: "test" for name in BIRDS if int(name[-8:-4]) % 2 == 0}),
    "21": Ready(_each(_n("Abyssinian_{}.jpg", range(10)), ("cat", 30, 20, 90, 80)), codes=("masks-left-out",)),
    "22": _in_parts(_seven_and_three("train/", "val/"), POLYP, codes=("masks-left-out", "runs-left-out")),
    "22b": _in_parts(_seven_and_three("train/", "val/"), POLYP, codes=("runs-left-out",)),
    "23": Ready(dict(LEAVES), codes=("class-folders-merged",)),
    "25": Ready(_each(_n("b{}.jpg", range(1, 8)), ("bee", 20, 20, 80, 80)), codes=("json-ids-mixed",)),
    "26": Refused("split-without-val", ("split=sequence",)),
    "27": Refused("image-unreadable", ("HEIC", "JPEG"), ("oak/IMG_4711.jpg", "oak/IMG_4712.HEIC")),
    "28": Ready(_each(_n("{}.tif", range(8)), ("cell", 20, 20, 80, 80)), codes=("image-high-bit-depth",)),
    "30": _in_parts(_seven_and_three(""), ("arabica", 32, 36, 64, 84), ("robusta", 96, 36, 128, 84)),
    "33": Refused("format-unknown", ("dataset.zip", "upload that one")),
    "34": _in_parts(ANTS, ("ant", 20, 20, 80, 80), codes=("json-sum-left-out",)),
    "35": Ready(
        _each(
            _n("p{:02}.jpg", range(18)),
            *((name, 5.0 * k, 4.0 * k, 25 + 5.0 * k, 25 + 4.0 * k) for k, name in enumerate(ODD_NAMES)),
        )
    ),
    "36": Ready(_folders("sunny", "cloudy", names=[f"{n}_{mode}" for n in range(3) for mode in MODES])),
    "40": Ready(TREES),
    "41": Ready(
        _each(
            _n("s{:02}.jpg", range(14)),
            *((name, 2.0 + 12 * k, 2.0 + 10 * k, 25.0 + 12 * k, 25.0 + 10 * k) for k, name in enumerate(SYMBOLS)),
        )
    ),
    "42": Ready(
        _each(_n("images/{:03}.jpg", range(8)), ("bird", 16, 36, 64, 84))
        | _each(_n("augmented_images/{:03}.jpg", range(8)), ("bird", 96, 36, 144, 84))
    ),
    "44": Refused("formats-mixed", ("5 images would be used without",), ("set/07.txt",)),
    "45": Ready(_each(_n("{}.jpg", range(8)), ("key", 100, 30, 150, 70)), codes=("size-wrong",)),
    "46": Ready(
        {f"batch_{batch}/{n}.png": ("sick", "healthy")[n % 2] for batch in (1, 2) for n in range(6)},
        codes=("table-columns",),
    ),
    "47": Ready(TREES),
    "48": Ready({f"{nut}/{nut}_{n:03}.jpg": nut for nut in ("kirmizi", "siirt") for n in range(40)}),
    "49": _in_parts(ODD_LINES, ("a", 64, 36, 96, 84), ("b", 32, 24, 48, 36)),
    "50": Ready(
        {f"cb0618f{n}-Bit {n}.png": ((("bit", "bolt")[n % 2], 20.123, 30.5, 60.373, 80.5),) for n in range(8)}
    ),
    "51": Ready(FOXES),
    "52": Ready(
        _each(_n("good{:02}.jpg", range(60)) + list(ODD_BYTES), ("x", 20, 20, 80, 80)),
        codes=("image-truncated", "image-unreadable", "image-odd-bytes"),
        options=("--on-error", "skip"),
    ),
    "53": Ready(CRABS, {name: name.partition("/")[0] for name in CRABS}, codes=("split-val-unlabelled",)),
    "54": _in_parts(SNAILS["png"], SNAIL),
    "55": _in_parts(SNAILS["jpg"], SNAIL),
    "59": Ready(_each(_n("{}.jpg", range(8)), ("fuse", 20, 20, 80, 80))),
}  # fmt: skip

# After a repair the same images have the same labels and splits, except here.
REPAIRED: dict[str, Ready | Refused] = {
    "05": Refused("dataset-rejected", ("0 of 9 images can be kept",)),
    "27": Ready(TREES, codes=("repair-image-left-out",)),
    "44": Ready(
        _each(_n("{:02}.jpg", range(7)), ("cup", 20, 20, 80, 80)),
        codes=("repair-image-left-out", "repair-entry-left-out"),
    ),
    "52": Ready(
        _each(_n("good{:02}.jpg", range(60)) + list(ODD_BYTES), ("x", 20, 20, 80, 80)),
        codes=("repair-image-left-out",),
    ),
}
