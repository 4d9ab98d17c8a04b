"""A folder that somebody changes while it is read, to lead out of it."""

from pathlib import Path

import pytest

from core.domain.errors import ImportUnusable
from worker.inputs.folder_files import AllowedFolder


def check() -> None:
    """Nothing stops the reading."""


def test_what_becomes_a_link_after_it_was_listed_is_not_read(tmp_path: Path) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    for folder in (allowed / "set" / "images", secret):
        folder.mkdir(parents=True)
    (allowed / "set" / "a.txt").write_text("a")
    (allowed / "set" / "images" / "key").write_text("an image")
    (allowed / "set" / "z.txt").symlink_to("a.txt")
    (secret / "key").write_text("secret")
    with AllowedFolder(allowed, lambda _path: None) as folder:
        listed = {file.name: file for file in folder.files(allowed / "set", check)}
        assert {name: b"".join(folder.read(file, check)) for name, file in listed.items()} == {
            "a.txt": b"a",
            "images/key": b"an image",
            "z.txt": b"a",
        }
        (allowed / "set" / "a.txt").unlink()
        (allowed / "set" / "a.txt").symlink_to(secret / "key")
        (allowed / "set" / "images").rename(tmp_path / "taken")
        (allowed / "set" / "images").symlink_to(secret)
        for file in listed.values():
            with pytest.raises(ImportUnusable):
                b"".join(folder.read(file, check))


def test_a_folder_deeper_than_a_zip_may_be_is_refused(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(40):
        deep = deep / "a"
    deep.mkdir(parents=True)
    with AllowedFolder(tmp_path, lambda _path: None) as folder, pytest.raises(ImportUnusable, match="folders deep"):
        list(folder.files(tmp_path, check))
