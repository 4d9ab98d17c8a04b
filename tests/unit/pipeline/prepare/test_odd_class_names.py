"""Class names that YAML, paths and numbers trip over are kept as they are, as text."""

import json
from pathlib import Path

import yaml

from pipeline.__main__ import run
from tests.builders.voc import annotation, image_bytes, zip_files

NAMES = (
    "0x10", "yes", "null", "02146", "a/b", "50%", "it's \"q\": #1", "🍎 apfel", "C++", "..", "-", "[x, y]", "{0}", "~",
    ".", "+", "=", "(", "1e3", "1_000", "!!int 3", "*a",
)  # fmt: skip
SIDE = 128


def test_each_class_has_its_very_name_and_its_own_boxes(tmp_path: Path) -> None:
    boxes = [(name, 5.0 * at + 1, 4.0 * at + 1, 5.0 * at + 21, 4.0 * at + 21) for at, name in enumerate(NAMES)]
    files = {}
    for number in range(10):
        files[f"p{number:02d}.jpg"] = image_bytes(size=(SIDE, SIDE), seed=number, boxes=boxes[number:])
        files[f"p{number:02d}.xml"] = annotation(f"p{number:02d}.jpg", boxes, size=(SIDE, SIDE))
    out = tmp_path / "out"
    assert run(["prepare", str(zip_files(tmp_path / "data.zip", files)), str(out), "--processes", "1"]) == 0

    assert json.loads((out / "result.json").read_text())["classes"] == sorted(NAMES)
    names = yaml.safe_load((out / "tree/data.yaml").read_text())["names"]
    names = names if isinstance(names, dict) else dict(enumerate(names))
    assert all(isinstance(name, str) for name in names.values())
    for label in (out / "tree").rglob("labels/**/*.txt"):
        found = {}
        for line in label.read_text().splitlines():
            number, x, y, width, height = line.split()
            edges = (float(x) - float(width) / 2, float(y) - float(height) / 2)
            found[names[int(number)]] = tuple(round(SIDE * edge) for edge in edges)
        assert found == {name: (5 * at, 4 * at) for at, name in enumerate(NAMES)}
