"""`python -m deploy.local.upload data.zip [--url URL] [--option seed=7]`: upload a ZIP of any size.

Runs a preflight first, displays the progress, and resumes after an interruption of the connection, of the service or of
this program (run the same command again). The name of the dataset goes to stderr; the id of its job is the output.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from deploy.local.resumable import UploadFailed, open_client, run_preflight, sha256_of, upload
from pipeline.archive.plural import counted

MAX_FINDINGS = 20
DEFAULT_URL = "http://127.0.0.1:8000"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.upload", description=__doc__)
    parser.add_argument("archive", type=Path, help="the ZIP to upload")
    parser.add_argument("--url", default=os.environ.get("DARKROOM_URL", DEFAULT_URL), help=f"default {DEFAULT_URL}")
    parser.add_argument("--token", default=os.environ.get("DARKROOM_API_TOKEN", ""), help="or DARKROOM_API_TOKEN")
    parser.add_argument("--project", default="", help="the project that the dataset joins; by default one of its own")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="name, seed, on_error, ...")
    parser.add_argument("--no-preflight", action="store_true", help="send it without checking its directory first")
    args = parser.parse_args(arguments)
    fields = dict(option.partition("=")[::2] for option in args.option)
    fields |= {"project": args.project} if args.project else {}
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
        console.print("Stopped. Run the same command again to resume.")
        return 130


def _run(console: Console, args: argparse.Namespace, fields: dict[str, str]) -> int:
    archive: Path = args.archive
    with open_client(args.url, token=args.token) as client, _bars(console) as bars:
        if not args.no_preflight and not _report(console, run_preflight(client, archive)):
            return 1
        total = archive.stat().st_size
        hashing = bars.add_task("sha256", total=total)
        sha256 = sha256_of(archive, on_bytes=lambda count: bars.update(hashing, advance=count))
        sending = bars.add_task("upload", total=total)

        def update(offset: int, resumed: bool) -> None:
            if resumed and offset:
                console.print(f"resuming at byte {offset}")
            bars.update(sending, completed=offset)

        job = upload(client, archive, sha256=sha256, fields=fields, records=records_folder(), on_offset=update)
    console.print(f"sha256 {sha256} verified")
    console.print(f"{job['dataset']} is {job['state']}")
    sys.stdout.write(f"{job['job_id']}\n")
    return 0


def records_folder() -> Path:
    """Where the client keeps a record of each unfinished upload."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "darkroom" / "uploads"


def _report(console: Console, preflight: dict[str, Any]) -> bool:
    """Prints what the preflight found; returns whether the service would accept the archive."""
    guess = preflight["format"]
    console.print(f"{counted(preflight['entries'], 'entry', 'entries')}, {counted(preflight['images'], 'image')}")
    console.print(f"format: {guess['name'] or 'not recognised'}. {guess['why']}")
    for finding in preflight["findings"][:MAX_FINDINGS]:
        console.print(f"{finding['code']}  {finding['path']}  {finding['detail']} {finding['remedy']}", markup=False)
    if (more := len(preflight["findings"]) - MAX_FINDINGS) > 0:
        console.print(f"and {more} more")
    if not preflight["accepted"]:
        console.print("The service would refuse this archive; nothing was sent.", style="red")
    return bool(preflight["accepted"])


def _bars(console: Console) -> Progress:
    size, speed, left = DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    return Progress(TextColumn("{task.description}"), BarColumn(), size, speed, left, console=console)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
