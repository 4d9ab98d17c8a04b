"""A receipt replayed: the same answer, the same within the bound, or a name for what differs."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import run
from pipeline.predictor import engines
from pipeline.predictor.engines import open_engine
from pipeline.predictor.predictor import ExportPredictor
from pipeline.receipts.schema import Receipt, ReceiptModel, ReceiptOptions
from pipeline.receipts.write import receipt_of
from tests.builders.bundled import VERSION, bundle_spec, write_bundle
from tests.builders.colour_models import draw_scenes, export_of

Change = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Given:
    """A version: its bundle, its export, two images, and the receipt of both by each engine."""

    bundle: Path
    export: Path
    images: tuple[Path, Path]
    receipts: dict[str, Receipt]


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("given")
    spec = bundle_spec(folder / "version")
    first, second = (each.file for each in draw_scenes(folder, 2))
    receipts = {name: receipt(spec.export, (first, second), engine=name) for name in ("onnxruntime", "openvino")}
    return Given(write_bundle(spec), spec.export, (first, second), receipts)


def receipt(export: Path, images: Sequence[Path], *, engine: str = "onnxruntime") -> Receipt:
    predictor = ExportPredictor(export, engine=open_engine(export, threads=1, name=engine))
    contents = [each.read_bytes() for each in images]
    sha256 = hashlib.sha256(export.read_bytes()).hexdigest()
    names = {"name": "colours/v1", "version_id": VERSION["version_id"], "export_id": "export_1"}
    model = ReceiptModel(**names, sha256=sha256, format="onnx", precision="fp32")
    options = ReceiptOptions(confidence=None, iou=None, top=5, tile=None, overlap=0.2)
    return receipt_of(model, predictor, options, contents, predictor.predict(contents), threads=1)


@pytest.fixture
def replayed(given: Given, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs the command. `change`: of the receipt's fields; `sealed`: its sha256 is made to fit them."""

    def replay(
        *options: str,
        change: Change = lambda _: None,
        sealed: bool = True,
        files: Sequence[Path] | None = None,
        model: tuple[str, Path] | None = None,
        engine: str = "onnxruntime",
    ) -> Ended:
        fields = json.loads(given.receipts[engine].model_dump_json())
        change(fields)
        if sealed:
            fields = json.loads(Receipt.model_validate_json(json.dumps(fields)).sealed().model_dump_json())
        (tmp_path / "receipt.json").write_text(json.dumps(fields))
        images = [str(each) for each in files or given.images]
        option, path = model or ("--bundle", given.bundle)
        status = run(["replay", str(tmp_path / "receipt.json"), *images, option, str(path), *options])
        return Ended(status, *capsys.readouterr())

    return replay


def first_box(fields: dict[str, Any]) -> dict[str, Any]:
    box: dict[str, Any] = fields["images"][0]["answer"]["boxes"][0]
    return box


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_same_engine_gives_the_same_answer(replayed: Callable[..., Ended], engine: str) -> None:
    ended = replayed("--json", engine=engine)
    found = json.loads(ended.out)
    assert (ended.status, found["verdict"], found["differences"]) == (0, "same", [])
    assert [(each["index"], each["verdict"]) for each in found["images"]] == [(0, "same"), (1, "same")]


def test_another_engine_is_named_and_its_answer_compared(
    replayed: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise ModuleNotFoundError("openvino is not installed")

    monkeypatch.setattr(engines, "import_openvino", missing)
    found = json.loads((ended := replayed("--json", engine="openvino")).out)
    assert [each["what"] for each in found["differences"]] == ["engine.name"]
    assert (ended.status, found["verdict"]) in ((0, "same"), (3, "within-bound"))


def test_another_device_is_named(replayed: Callable[..., Ended]) -> None:
    ended = replayed(change=lambda fields: fields["engine"].update(device="cuda"))
    assert ended.status == 0 and "  engine.device: cuda in the receipt, cpu here\n" in ended.out


def test_a_box_that_moved_a_little_is_the_same_within_the_bound(replayed: Callable[..., Ended]) -> None:
    ended = replayed(change=lambda fields: first_box(fields).update(x1=first_box(fields)["x1"] + 0.125))
    assert ended.status == 3 and "boxes moved by up to 0.125 px, scores by up to 0\n" in ended.out


def test_another_answer_says_how_much_it_differs(replayed: Callable[..., Ended]) -> None:
    def change(fields: dict[str, Any]) -> None:
        boxes = fields["images"][0]["answer"]["boxes"]
        boxes[0]["score"] -= 0.25
        boxes.append({**boxes[0], "label": "blue", "class_index": 2, "score": 0.9, "x1": 1, "y1": 2, "x2": 9, "y2": 8})

    ended = replayed(change=change)
    assert ended.status == 1 and "The answer is another one." in ended.out
    assert "scores by up to 0.25\n" in ended.out
    assert "in the receipt alone: blue 0.900 at 1.0, 2.0 to 9.0, 8.0\n" in ended.out


@pytest.mark.parametrize(
    ("edit", "fact"),
    [
        ({"label": "otter"}, "otter in the receipt, "),
        ({"class_index": 10**9}, "class 1000000000: "),
        ({"class_index": -1}, "class -1: "),
    ],
)
def test_a_class_that_the_model_does_not_have_is_another_answer(
    replayed: Callable[..., Ended], edit: dict[str, Any], fact: str
) -> None:
    ended = replayed(change=lambda fields: first_box(fields).update(edit))
    assert ended.status == 1 and "The answer is another one." in ended.out and fact in ended.out


@pytest.mark.parametrize("option", ["--bundle", "--model"])
def test_the_precision_in_a_receipt_widens_no_bound(option: str, given: Given, replayed: Callable[..., Ended]) -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["model"]["precision"] = "int8"
        first_box(fields)["score"] -= 0.02

    model = (option, given.bundle if option == "--bundle" else given.export)
    found = json.loads((ended := replayed("--json", change=change, model=model)).out)
    assert (ended.status, found["verdict"]) == (1, "other-model")
    assert found["images"][0]["verdict"] == "other-answer"
    assert found["differences"][0] == {"what": "model.precision", "receipt": "int8", "here": "fp32"}


def test_an_edited_receipt_is_found_by_its_own_sha256(replayed: Callable[..., Ended]) -> None:
    ended = replayed(change=lambda fields: first_box(fields).update(score=0.5), sealed=False)
    assert ended.status == 1 and "The receipt was changed after it was written" in ended.out
    assert "000.jpg: other-answer; image 0 of the receipt" in ended.out


def test_numbers_written_otherwise_are_no_change(replayed: Callable[..., Ended], given: Given) -> None:
    """As JavaScript writes them: 1 for 1.0."""

    def change(fields: dict[str, Any]) -> None:
        fields["preprocessing"]["std"] = [1, 1, 1]

    assert replayed(change=change, sealed=False).status == 0


def test_another_image_is_named_by_its_sha256(replayed: Callable[..., Ended], given: Given, tmp_path: Path) -> None:
    changed = tmp_path / "changed.jpg"
    changed.write_bytes(given.images[0].read_bytes() + b"\0")
    ended = replayed(files=[changed, given.images[1]])
    sha256 = hashlib.sha256(changed.read_bytes()).hexdigest()
    assert ended.status == 1 and f"changed.jpg: no image of the receipt; its sha256 is {sha256}\n" in ended.out
    assert f"{given.images[1]}: same; image 1 of the receipt" in ended.out
    assert "1 of the receipt's 2 images were not given" in ended.out
    assert replayed("--index", "1", files=[given.images[0]]).status == 1
    assert replayed("--index", "0", files=[given.images[0]]).status == 0
    assert replayed("--index", "2", files=[given.images[0]]).status == 2


def test_another_version_is_not_run(replayed: Callable[..., Ended], tmp_path: Path) -> None:
    spec = bundle_spec(tmp_path / "other", version_id="version_other")
    export_of("detection", spec.export, pad=0)
    found = json.loads((ended := replayed("--json", model=("--bundle", write_bundle(spec)))).out)
    assert (ended.status, found["verdict"], found["images"]) == (1, "other-model", [])
    assert [each["what"] for each in found["differences"]] == ["model.sha256"]


def test_another_export_of_the_same_version_is_compared_and_named(
    replayed: Callable[..., Ended], given: Given, tmp_path: Path
) -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["model"] |= {"sha256": "0" * 64, "format": "openvino", "precision": "int8", "export_id": "export_2"}

    ended = replayed(change=change)
    assert ended.status == 1 and "The model is another one than that of the receipt." in ended.out
    assert "colours/v1 answered as openvino in int8 (export_2)" in ended.out and "--model FILE" in ended.out
    assert ": same; image 0 of the receipt" in ended.out
    assert replayed(model=("--model", given.export)).status == 0


def test_other_preprocessing_libraries_and_machines_are_listed(replayed: Callable[..., Ended]) -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["preprocessing"]["pad"] = 0
        fields["libraries"]["numpy"] = "1.26.4"
        fields["machine"]["processor_features"] = ["avx2"]
        fields["darkroom"] = "0.0.9"

    found = json.loads((ended := replayed("--json", change=change)).out)
    assert (ended.status, found["verdict"]) == (0, "same")
    assert [each["what"] for each in found["differences"]] == [
        *("preprocessing.pad", "libraries.numpy", "machine.processor_features", "darkroom")
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"schema_version": 1,\n "model" }', "It is no JSON: line 2, column 10"),
        (b"\xff\xfe", "It is no JSON"),
        (b"[" * 100_000, "It is no JSON"),
        (b"[]", "a receipt is a JSON object"),
        (b'{"schema_version": 2}', "Its schema_version is 2; this version of Darkroom reads 1."),
        (b'{"model": {}, "images": []}', "send `receipt=true`"),
        (b'{"model": {}, "images": [], "receipt": null}', "send `receipt=true`"),
        (b'{"schema_version": 1, "darkroom": "1"}', "model: Field required"),
    ],
)
def test_what_is_no_receipt_says_why(
    content: bytes, reason: str, given: Given, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "receipt.json").write_bytes(content)
    command = ["replay", str(tmp_path / "receipt.json"), str(given.images[0]), "--bundle", str(given.bundle)]
    assert run(command) == 2
    assert reason in capsys.readouterr().err


def test_a_changed_bundle_is_not_run(replayed: Callable[..., Ended], given: Given, tmp_path: Path) -> None:
    content = bytearray(given.bundle.read_bytes())
    content[content.index(given.export.read_bytes()) + 200] ^= 1
    (tmp_path / "changed.zip").write_bytes(content)
    for bundle in (tmp_path / "changed.zip", given.images[0]):
        ended = replayed(model=("--bundle", bundle))
        assert ended.status == 2 and "NOT as it was written, nothing of it was run" in ended.err
    assert replayed(model=("--bundle", tmp_path / "none.zip")).status == 2
    detail = json.loads(replayed("--json", model=("--bundle", tmp_path / "changed.zip")).out)
    assert detail["verdict"] == "not-replayed" and "model.onnx" in detail["detail"]
