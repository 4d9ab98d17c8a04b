"""Files on this side: a folder as a ZIP, the lines of a log, the permissions of the login file."""

import zipfile
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from darkroom import Client
from darkroom.cli.checkup.local import login_check
from darkroom.cli.commands import imports
from darkroom.cli.failures import CommandFailed, WrongUsage
from darkroom.cli.folder_archive import files_in, write_archive
from darkroom.cli.images import Image
from darkroom.cli.log_lines import lines_after
from darkroom.cli.predicting import Predictor, places
from darkroom.login import Login, write_login
from tests.builders.documented_service import SCHEMAS, example


def test_a_folder_gives_the_same_zip_again_without_what_is_hidden(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name in ("images/b.jpg", "images/a.jpg", "labels/a.txt", ".git/config", "images/.DS_Store"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 100)
    (folder / "elsewhere").symlink_to("/etc")
    archives = [tmp_path / "1.zip", tmp_path / "2.zip"]
    for archive in archives:
        counted: list[int] = []
        write_archive(folder, files_in(folder), archive, on_bytes=counted.append)
        assert sum(counted) == sum(path.stat().st_size for path in files_in(folder))
        (folder / "images/a.jpg").touch()
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with zipfile.ZipFile(archives[0]) as archive:
        assert archive.namelist() == ["images/a.jpg", "images/b.jpg", "labels/a.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandFailed, match="holds no files"):
        files_in(tmp_path / "empty")


def test_a_log_goes_on_after_the_last_printed_line() -> None:
    printed = ["epoch 1", "", "epoch 2"]
    assert lines_after(printed, ["start", *printed, "", "epoch 3"]) == ["", "epoch 3"]
    assert lines_after(printed, ["another attempt"]) == ["another attempt"]
    assert lines_after([], ["start"]) == ["start"]
    assert lines_after(printed, printed) == []


def test_a_login_file_that_others_can_read_fails_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = write_login(Login("http://localhost:8000", "secret"))
    assert (path.stat().st_mode & 0o777, login_check(path).state) == (0o600, "ok")
    path.chmod(0o644)
    check = login_check(path)
    assert (check.state, check.remedy) == ("fail", f"chmod 600 {path}")
    path.chmod(0o600)
    path.write_text("{")
    assert login_check(path).state == "fail"


def test_drawings_overwrite_neither_an_image_nor_one_another(tmp_path: Path) -> None:
    images = []
    for name in ("a/1.jpg", "b/1.png", "b/1-2.png", "c/1.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        images.append(Image(name, path))
    names = [path.name for path in places(images, tmp_path / "drawn", ".jpg")]
    assert names == ["1.jpg", "1-3.jpg", "1-2.jpg", "1-4.jpg"]
    for target in (tmp_path / "a", tmp_path / "c"):
        with pytest.raises(WrongUsage, match=r"1\.jpg is one of the images"):
            places(images, target, ".jpg")
    with pytest.raises(WrongUsage):
        places(images[:1], tmp_path / "b" / ".." / "a" / "1.jpg", ".jpg")


def test_the_command_keeps_no_image_in_memory(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"image")
    service = httpx.MockTransport(lambda _: httpx.Response(200, json=example(SCHEMAS["Answer"], whole=True)))
    with Client("http://service", http=httpx.Client(transport=service)) as client:
        (found,) = Predictor(client, "raccoons", {}).predict([Image("1.jpg", tmp_path / "1.jpg")], receipt=False)
    assert found.image == b"" and found.model.name


def test_a_zip_of_images_is_no_model_and_the_command_that_sends_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "local.zip"
    for name, project in (("1.jpg", None), ("cat/1.jpg", "raccoons")):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, b"")
        with pytest.raises(WrongUsage, match="no config") as wrong:
            imports._import_model(cast(Any, None), file, project, None, False)
        assert f"`darkroom upload {file}`" in wrong.value.remedy
