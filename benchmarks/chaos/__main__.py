"""Chaos: `python -m benchmarks.chaos --rounds N --seed S --minutes M [--database postgresql]`.

Users upload, train, cancel and delete over HTTP; once work of every kind has been accepted, one fault is injected into
a private service, round after round: processes and children are killed or frozen, broker, database and store stop,
disks are full or read-only. Then the faults end, the work is finished, and every upload, run, version, event and object
is checked. Leases last 8 s instead of 60, so that each loss is noticed within a round. Prints a JSON line and a
Markdown table; exit status 1 when anything was lost, stuck, doubled or left. The same seed injects the same faults; the
processes' timing differs.
"""

import argparse
import json
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from benchmarks.chaos.checks import CHECKS, clean_up
from benchmarks.chaos.faults import faults_of, schedule
from benchmarks.chaos.load import Ledger, Load
from benchmarks.chaos.service import Service, private_service
from benchmarks.chaos.settle import settle
from core.logging import configure_logging

PAUSE_SECONDS = (1.0, 4.0)  # between two faults
MAX_MINUTES = 60.0
MOST_SECONDS_BEFORE = 120.0  # that the first fault waits for work of every kind
LISTED = 20  # violations of one kind that are printed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10.0, help="of faults: no round begins after them")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--logs", type=Path, help="folder for a copy of all logs and the database")
    parser.add_argument("--real-every", type=int, default=10, help="of so many runs one is trained by ultralytics")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with private_service(database=args.database) as service:
        configure_logging(service.settings)
        return run(service, args)


def run(service: Service, args: argparse.Namespace) -> int:
    began = time.monotonic()
    load = Load(service.platform, service.url, service.folder / "sets", seed=args.seed, real_every=args.real_every)
    load.start()
    while not load.is_under_way() and time.monotonic() < began + MOST_SECONDS_BEFORE:
        service.keep_running(0.5)
    ends = time.monotonic() + 60 * min(args.minutes, MAX_MINUTES)
    injected = inject(service, Random(args.seed), rounds=args.rounds, ends=ends)
    while not load.stop():
        service.keep_running(0.5)
    failed = settle(service)
    service.kill_all()
    orphans = clean_up(service)
    found = {name: check(service, load.ledger) for name, check in CHECKS.items()}
    report(args, injected, load.ledger, failed, orphans, found, seconds=time.monotonic() - began)
    if args.logs is not None:
        keep_logs(service, args.logs)
    return 1 if any(found.values()) else 0


def inject(service: Service, rng: Random, *, rounds: int, ends: float) -> Counter[str]:
    """One fault each round. Returns how often each was injected."""
    faults, injected = faults_of(service), Counter[str]()
    for number, name in zip(range(1, rounds + 1), schedule(list(faults), rng), strict=False):
        if time.monotonic() > ends:
            break
        print(f"round {number}: {name}", file=sys.stderr, flush=True)
        injected[name if faults[name](service, rng) else "nothing to inject into"] += 1
        service.keep_running(rng.uniform(*PAUSE_SECONDS))
    return injected


def keep_logs(service: Service, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*service.folder.glob("*.log"), *service.folder.glob("home/darkroom.db*")):
        shutil.copy(path, folder)


def report(
    args: argparse.Namespace,
    injected: Counter[str],
    ledger: Ledger,
    failed: Counter[str],
    orphans: int,
    found: dict[str, list[str]],
    *,
    seconds: float,
) -> None:
    for name, violations in found.items():
        for violation in violations[:LISTED]:
            print(f"{name}: {violation}", file=sys.stderr)
    counts = {name: len(violations) for name, violations in found.items()}
    figures = {
        "rounds": injected.total(),
        "minutes": round(seconds / 60, 1),
        "uploads": len(ledger.uploads),
        "into the shared project": len(ledger.joined),
        "runs": len(ledger.runs),
        "operations": len(ledger.operations),
        "real trainings": len(ledger.real_runs),
        "cancelled": len(ledger.cancelled),
        "jobs deleted": len(ledger.deleted),
        "requests without an answer": ledger.unanswered,
        "failed, then retried": failed.total(),
        "orphaned objects swept": orphans,
        **counts,
    }
    more = {"faults": dict(sorted(injected.items())), "problems": dict(failed), "refused": dict(ledger.refused)}
    about = {"benchmark": "chaos", "database": args.database, "seed": args.seed}
    print(json.dumps({**about, **figures, **more}))
    print("\n".join([f"| {' | '.join(figures)} |", "|---" * len(figures) + "|"]))
    print(f"| {' | '.join(map(str, figures.values()))} |")


if __name__ == "__main__":
    sys.exit(main())
