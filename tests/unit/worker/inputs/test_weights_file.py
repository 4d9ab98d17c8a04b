"""Where the weights come from, and that a name cannot leave the weights folder."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from core.domain.errors import WeightsUnavailable
from pipeline.process.specs import ModelSpec
from worker.inputs import weights_file as weights
from worker.inputs.weights_file import WeightsSource, resolve_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights" / "ours").mkdir(parents=True)
    (tmp_path / "weights" / "yolov8n.pt").write_bytes(b"w")
    (tmp_path / "weights" / "ours" / "mine.pt").write_bytes(b"w")
    (tmp_path / "secret.pt").write_bytes(b"w")
    (tmp_path / "weights" / "link.pt").symlink_to(tmp_path / "secret.pt")
    return tmp_path / "weights"


def resolve(folder: Path, model: str, pretrained: str = "auto", *, hub: bool = False) -> WeightsSource:
    return resolve_model({"model": model, "pretrained": pretrained}, folder, hub=hub, check=lambda: None)


def test_weights_in_the_folder_are_used_unless_they_are_not_wanted(folder: Path) -> None:
    for model in ("yolov8n", "yolov8n.yaml", "yolov8n.pt"):
        assert resolve(folder, model).as_spec() == ModelSpec(kind="weights", path_or_name=str(folder / "yolov8n.pt"))
    assert resolve(folder, "ours/mine.pt").path_or_name == str(folder / "ours" / "mine.pt")
    assert resolve(folder, "yolov8n", "never").as_spec() == ModelSpec(kind="config", path_or_name="yolov8n.yaml")


@pytest.mark.parametrize(
    "model, file", [("yolov5n", "yolov5nu.pt"), ("yolov5s-p6", "yolov5s6u.pt"), ("yolov3-tiny.yaml", "yolov3-tinyu.pt")]
)
def test_weights_are_found_under_the_name_that_the_hub_gives_them(
    folder: Path, hub: Callable[..., list[str]], model: str, file: str
) -> None:
    requested = hub(lambda _: httpx.Response(200, content=torch_file()))
    assert resolve(folder, model, hub=True).path_or_name == str(folder / file)
    assert len(requested) == 1 and requested[0].endswith(f"/{file}")
    assert resolve(folder, model).path_or_name == str(folder / file)


def test_weights_under_the_plain_name_of_an_architecture_are_used_too(folder: Path) -> None:
    (folder / "yolov5n.pt").write_bytes(b"w")
    assert resolve(folder, "yolov5n").path_or_name == str(folder / "yolov5n.pt")


def test_without_weights_auto_trains_from_scratch_with_a_note(folder: Path) -> None:
    source = resolve(folder, "yolo11s")
    assert (source.kind, source.path_or_name) == ("config", "yolo11s.yaml")
    assert source.note == "trained from scratch: no pretrained weights were found"
    with pytest.raises(WeightsUnavailable):
        resolve(folder, "yolo11s", "required")


@pytest.mark.parametrize("name", ["../secret.pt", "/etc/passwd.pt", "link.pt", "ours/../../secret.pt", "missing.pt"])
def test_a_name_cannot_leave_the_weights_folder(folder: Path, name: str) -> None:
    with pytest.raises(WeightsUnavailable):
        resolve(folder, name)


def torch_file() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    return content.getvalue()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[httpx.Request], httpx.Response]], list[str]]:
    """A hub with a given answer; the rest of httpx is the real one."""

    def answer_with(answer: Callable[[httpx.Request], httpx.Response]) -> list[str]:
        requested: list[str] = []

        def handle(request: httpx.Request) -> httpx.Response:
            requested.append(str(request.url))
            return answer(request)

        client = httpx.Client(transport=httpx.MockTransport(handle))
        monkeypatch.setattr(weights.httpx, "stream", client.stream)
        weights._not_before.clear()
        return requested

    return answer_with


def test_the_hub_is_queried_once_and_its_file_is_kept(folder: Path, hub: Callable[..., list[str]]) -> None:
    requested = hub(lambda _: httpx.Response(200, content=torch_file()))
    for _ in range(2):
        assert resolve(folder, "yolo11n", hub=True).path_or_name == str(folder / "yolo11n.pt")
    assert len(requested) == 1 and requested[0].endswith("/yolo11n.pt")


@pytest.mark.parametrize("answer", [(404, b""), (200, b"<html>a captive portal</html>")])
def test_a_hub_that_has_nothing_usable_leaves_no_file_and_is_not_queried_again_soon(
    folder: Path, hub: Callable[..., list[str]], answer: tuple[int, bytes]
) -> None:
    requested = hub(lambda _: httpx.Response(answer[0], content=answer[1]))
    before = sorted(folder.iterdir())
    for _ in range(2):
        assert resolve(folder, "yolo11n", hub=True).kind == "config"
    assert len(requested) == 1 and sorted(folder.iterdir()) == before
