"""The ZIP of what a command names: the file itself, or one that is made of a folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from darkroom.cli.folder_archive import files_in, write_archive
from darkroom.cli.session import Session
from darkroom.cli.text import counted, safe


@contextmanager
def archive_of(session: Session, path: Path) -> Iterator[Path]:
    """The ZIP itself, or one of the folder that is deleted afterwards."""
    if not path.is_dir():
        yield path
        return
    files = files_in(path)
    with tempfile.TemporaryDirectory(prefix="darkroom-") as folder, session.out.progress(in_bytes=True) as progress:
        archive = Path(folder) / f"{path.resolve().name}.zip"
        task = progress.add_task("Zip", total=sum(each.stat().st_size for each in files))
        write_archive(path, files, archive, on_bytes=lambda count: progress.advance(task, count))
        progress.remove_task(task)
        progress.stop()
        session.out.message(f"{counted(len(files), 'file')} of {safe(path)} are sent as one ZIP.", style="dim")
        yield archive
