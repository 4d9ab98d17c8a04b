"""What an export of a dataset costs: `python -m benchmarks.dataset_exports [--images 50000] [--formats coco hf]`.

A made set of images of 160 x 120 pixels, prepared once with boxes and once as folders of classes, is written in each
format by `python -m pipeline export-dataset` as a worker starts it. One JSON line for each: elapsed seconds, those of
the processor, the most memory that was resident, the bytes of the ZIP.

Then the same export is killed with SIGKILL half-way and made again, as the next attempt of a worker makes it:
`again_seconds`. Exits with 1 where the killed one leaves a ZIP under its final name, or the second one has other bytes.
Linux only.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.image_sets import SMALL_PHOTO, write_set
from pipeline.layouts import TAR_FILE
from pipeline.params.dataset_exports import EXPORT_FORMATS, formats_of
from pipeline.params.prepare import PrepareOptions

KINDS = ("detection", "classification")
CLASSES = 10
THREADS = 2
EXPORT_FILE = "dataset.zip"
_POLL_SECONDS = 0.05


class Ended(NamedTuple):
    """`mib`: the most that was resident. `status`: negative for a signal."""

    status: int
    seconds: float
    cpu: float
    mib: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--formats", nargs="+", choices=tuple(EXPORT_FORMATS), default=tuple(EXPORT_FORMATS))
    args = parser.parse_args()
    same = True
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        made = folder / "detection.zip"
        write_set(made, images=args.images, size=SMALL_PHOTO)
        for kind in KINDS:
            formats = [each for each in args.formats if each in formats_of(kind)]
            if not formats:
                continue
            archive = made if kind == "detection" else _as_folders(made, folder / "classification.zip")
            prepared = folder / f"prepared-{kind}"
            _prepare(archive, prepared)
            for each in formats:
                row = _row(kind, each, archive, prepared, folder / "out")
                print(json.dumps(row), flush=True)
                same = same and row["same"]
            shutil.rmtree(prepared)
    return 0 if same else 1


def _row(kind: str, name: str, archive: Path, prepared: Path, out: Path) -> dict[str, Any]:
    result = json.loads((prepared / "result.json").read_text())
    spec = {
        "index": str(prepared / "images.sqlite"),
        "kind": kind,
        **{key: result[key] for key in ("classes", "fingerprint", "content_fingerprint")},
        **{"format": name, "arrange": "paths", "threads": THREADS},
    }
    whole = _export(spec, archive, out)
    assert whole.status == 0, whole
    size, sha256 = (out / EXPORT_FILE).stat().st_size, _sha256(out / EXPORT_FILE)
    killed = _export(spec, archive, out, kill_after=whole.seconds / 2)
    assert killed.status == -signal.SIGKILL, killed
    is_left = (out / EXPORT_FILE).exists()
    again = _export(spec, archive, out)
    same = not is_left and _sha256(out / EXPORT_FILE) == sha256
    shutil.rmtree(out)
    return {
        "benchmark": "dataset exports",
        "kind": kind,
        "format": name,
        "images": result["images"],
        "seconds": round(whole.seconds, 1),
        "cpu": round(whole.cpu, 1),
        "mib": round(whole.mib),
        "bytes": size,
        "again_seconds": round(again.seconds, 1),
        "same": same,
    }


def _as_folders(made: Path, target: Path) -> Path:
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            if name.endswith(".jpg"):
                number = int(Path(name).stem)
                archive.writestr(f"made/class-{number % CLASSES}/{number:06d}.jpg", source.read(name))
    return target


def _prepare(archive: Path, out: Path) -> None:
    source = {"name": archive.name, "bytes": archive.stat().st_size, "sha256": "0" * 64}
    spec = {"archive": str(archive), "source": source, "options": PrepareOptions().model_dump()}
    ended = _run("prepare", out, spec | {"processes": THREADS, "tree": False})
    assert ended.status == 0, ended
    (out / TAR_FILE).unlink()  # not read: the images come from what was uploaded


def _export(spec: dict[str, Any], archive: Path, out: Path, *, kill_after: float | None = None) -> Ended:
    """In a new folder, as each attempt has one."""
    shutil.rmtree(out, ignore_errors=True)
    copy = out.with_name("source.zip")
    copy.unlink(missing_ok=True)
    os.link(archive, copy)  # it removes the one that it has extracted
    return _run("export-dataset", out, spec | {"archive": str(copy)}, kill_after=kill_after)


def _run(command: str, out: Path, spec: dict[str, Any], *, kill_after: float | None = None) -> Ended:
    out.mkdir()
    config = out.with_suffix(".json")
    config.write_text(json.dumps(spec | {"out": str(out)}))
    argv = [sys.executable, "-m", "pipeline", command, "--config", str(config), "--supervised"]
    started, mib = time.monotonic(), 0.0
    # A supervised child ends, with its session, when its stdin is closed.
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        while True:
            mib = max(mib, _peak_mib(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if kill_after is not None and time.monotonic() - started > kill_after:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    return Ended(process.returncode, seconds, usage.ru_utime + usage.ru_stime, mib)


def _peak_mib(pid: int) -> float:
    """0 once it has ended. `ru_maxrss` would be at least that of this process."""
    with suppress(OSError):
        _, found, rest = Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")
        if found:
            return int(rest.split()[0]) / 1024
    return 0.0


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
