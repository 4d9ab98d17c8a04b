"""`python -m deploy.local.upload data.zip [--url URL] [--option seed=7]`: send a ZIP of any size, over any line.

Asks first what would be refused, shows how far it is, and goes on after any break: of the line, of the service, or of
this program (start it again). The job's id is the last line of the output.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from deploy.local.resumable import UploadFailed, ask_preflight, open_client, sha256_of, upload
from pipeline.archive.plural import counted

SHOWN_FINDINGS = 20
DEFAULT_URL = "http://127.0.0.1:8000"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.upload", description=__doc__)
    parser.add_argument("archive", type=Path, help="the ZIP")
    parser.add_argument("--url", default=os.environ.get("DARKROOM_URL", DEFAULT_URL), help=f"default {DEFAULT_URL}")
    parser.add_argument("--token", default=os.environ.get("DARKROOM_API_TOKEN", ""), help="or DARKROOM_API_TOKEN")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="name, seed, on_error, ...")
    parser.add_argument("--no-preflight", action="store_true", help="send it whatever its directory says")
    args = parser.parse_args(arguments)
    fields = dict(option.partition("=")[::2] for option in args.option)
    console = Console(stderr=True, highlight=False)
    try:
        return _run(console, args, fields)
    except UploadFailed as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    except OSError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("Stopped. Start it again, and it goes on from here.")
        return 130


def _run(console: Console, args: argparse.Namespace, fields: dict[str, str]) -> int:
    archive: Path = args.archive
    with open_client(args.url, token=args.token) as client, _bars(console) as bars:
        if not args.no_preflight and not _told(console, ask_preflight(client, archive)):
            return 1
        total = archive.stat().st_size
        hashing = bars.add_task("sha256", total=total)
        sha256 = sha256_of(archive, on_bytes=lambda count: bars.update(hashing, advance=count))
        sending = bars.add_task("upload", total=total)

        def show(offset: int, resumed: bool) -> None:
            if resumed and offset:
                console.print(f"going on from byte {offset}")
            bars.update(sending, completed=offset)

        job = upload(client, archive, sha256=sha256, fields=fields, notes=notes_folder(), on_offset=show)
    console.print(f"sha256 {sha256}, as the service has it")
    sys.stdout.write(f"{job['job_id']}\n")
    return 0


def notes_folder() -> Path:
    """Where unfinished uploads are remembered."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "darkroom" / "uploads"


def _told(console: Console, found: dict[str, Any]) -> bool:
    looks = found["format"]
    console.print(f"{counted(found['entries'], 'entry', 'entries')}, {counted(found['images'], 'image')}")
    console.print(f"looks like {looks['name'] or 'nothing that is read'}: {looks['why']}")
    for finding in found["findings"][:SHOWN_FINDINGS]:
        console.print(f"{finding['code']}  {finding['path']}  {finding['detail']} {finding['remedy']}", markup=False)
    if (more := len(found["findings"]) - SHOWN_FINDINGS) > 0:
        console.print(f"and {more} more")
    if not found["accepted"]:
        console.print("It would be refused; nothing was sent.", style="red")
    return bool(found["accepted"])


def _bars(console: Console) -> Progress:
    size, speed, left = DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    return Progress(TextColumn("{task.description}"), BarColumn(), size, speed, left, console=console)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
