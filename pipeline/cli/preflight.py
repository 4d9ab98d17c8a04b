"""`python -m pipeline preflight data.zip`: what the ZIP would be rejected for, by its directory alone.

`--end tail.bin --bytes 123456` takes the end of a larger ZIP, limits its own time and memory, and prints JSON: the API
calls it so.
"""

import argparse
import json
import resource
from pathlib import Path
from typing import Any

from core.domain.findings import Finding
from pipeline.archive.entry_names import printable
from pipeline.archive.plural import counted
from pipeline.prepare.preflight import ArchiveEnd, MoreBytesNeeded, inspect_archive_end

CPU_SECONDS = 40  # 300,000 entries take about 4
MEMORY_BYTES = 2 * 1024**3  # of address space; 300,000 entries take about 200 MB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, nargs="?", help="the ZIP")
    parser.add_argument("--end", type=Path, help="a file with the end of a larger ZIP; the output is JSON")
    parser.add_argument("--bytes", type=int, help="size of that ZIP")
    parser.set_defaults(parser=parser)


def main(args: argparse.Namespace) -> int:
    """Returns 0: accepted so far (with --end always); 1: it would be rejected."""
    if args.end and args.bytes:
        _print_json_of_end(args.end, args.bytes)
        return 0
    if args.archive is None:
        args.parser.error("name a ZIP, or --end and --bytes")
    with args.archive.open("rb") as file:
        found = inspect_archive_end(file, args.archive.stat().st_size)
    _print_for_person(found)
    return 0 if found["accepted"] else 1


def _print_json_of_end(end: Path, total: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with end.open("rb") as file:
        try:
            found = inspect_archive_end(ArchiveEnd(file, total), total)  # type: ignore[arg-type] # it reads and seeks
        except MoreBytesNeeded as more:
            found = {"needed_bytes": more.bytes}
    print(json.dumps(found))


def _print_for_person(found: dict[str, Any]) -> None:
    print(
        f"{counted(found['entries'], 'entry', 'entries')}, {counted(found['images'], 'image')},"
        f" {counted(found['data_bytes'], 'byte')} of data unpacked"
    )
    print(f"looks like {found['format']['name'] or 'no known format'}: {found['format']['why']}")
    for each in found["findings"]:
        finding = Finding.from_dict(each)
        line = f"{finding.severity}  {finding.code}  {finding.path}  {finding.detail}  {finding.remedy}"
        print(printable(line))
    print("accepted so far" if found["accepted"] else "would be rejected")
