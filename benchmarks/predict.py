"""Predictions beside LitServe and BentoML: `python -m benchmarks.predict [--seconds 5] [--rounds 3] [--only same]`.

A yolov8n of 320 px, trained on the spot unless `--yolo best.pt` names another one, JPEGs of 640 x 480, and `wrk` on the
same cores. The servers answer in turns, so that what else the machine does meets all of them; the others are suspended.

- `same`: decode, engine, precision and post-processing are Darkroom's on all sides: what is compared is the serving;
- `own`: each with its own best: the peers with simplejpeg, OpenCV, onnxruntime or OpenVINO in single precision, and
  Darkroom with its certified exports. One more line has the quicker peer at OpenVINO's default precision, which is
  bfloat16 where the processor has it: nothing says there what it loses, so that it is no part of the comparison;
- `api`: at one client, what serving adds to the bare predictor, and the API in front of it to serving;
- `soak`: `--soak 30000` requests with 60 swaps of an alias and one poisoned image in a hundred.

The peers' workers, threads and batches are searched first, and the search is printed. Every server's boxes are compared
with those of the bare predictor, within the bounds of the certificate. The peers need a venv of their own, which is
made from requirements-peers.txt unless `--peers` names one. Exit status 1 when a figure misses its goal.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from benchmarks.predict_load import Figures, bare, load, share_of_equal
from benchmarks.predict_model import HELD_OUT, Exported, draw_images, export, train
from benchmarks.predict_one_client import one_client
from benchmarks.predict_servers import (
    Home,
    PeerSettings,
    Running,
    darkroom,
    make_home,
    make_venv,
    peer,
    suspended,
)
from benchmarks.predict_soak import soak
from pipeline.export.bounds import BOUNDS
from pipeline.export.catalogue import Precision
from pipeline.predictor.engines import open_engine
from pipeline.predictor.predictor import ExportPredictor

CLIENTS = 32
SAME_GOAL, OWN_GOAL = 1.1, 1.5  # times the better peer, at 32 clients
TURNS = 30  # of a few requests of one client, in a round
PARTS = ("same", "own", "api", "soak")
PEERS = ("LitServe", "BentoML")
SEARCHED: Mapping[str, Sequence[PeerSettings]] = {
    "LitServe": (
        PeerSettings(workers=1, threads=2),
        PeerSettings(workers=2, threads=1),
        PeerSettings(workers=2, threads=1, fast_queue=True),
        PeerSettings(workers=2, threads=1, batch=8),
    ),
    "BentoML": (
        PeerSettings(workers=1, threads=1, at_once=2),
        PeerSettings(workers=2, threads=1),
        PeerSettings(workers=2, threads=1, batch=8),
    ),
}


@dataclass(frozen=True, slots=True)
class Bench:
    folder: Path
    venv: Path
    exports: Mapping[Precision, Exported]
    home: Home
    images: Sequence[Path]
    seconds: float
    rounds: int

    @property
    def contents(self) -> list[bytes]:
        return [path.read_bytes() for path in self.images]

    def log(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '-')}.log"


def main() -> int:
    args = _arguments()
    parts = args.only or [part for part in PARTS if part != "soak" or args.soak]
    print(f"{len(os.sched_getaffinity(0))} cores, load of the last minute {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="darkroom-predict-") as name:
        folder = Path(name)
        needs_peers = {"same", "own"} & set(parts)
        venv = args.peers or (make_venv(folder / "peers") if needs_peers else folder)
        held_out = draw_images(folder / "images", HELD_OUT, seed=3)
        model = args.yolo or train(folder / "training")
        exports = {each.precision: each for each in export(model, folder / "exports", held_out)}
        home = make_home(folder / "home", list(exports.values()))
        images = [each.file for each in held_out][:16]
        bench = Bench(folder, venv, exports, home, images, args.seconds, args.rounds)
        good = [_PARTS[part](bench) for part in parts if part != "soak"]
        if "soak" in parts:
            good.append(soak(home, exports["fp32"].file, images, folder, requests=args.soak or 30_000))
    return 0 if all(good) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yolo", type=Path, help="best.pt of a detector of discs, such as a run of this before kept")
    parser.add_argument("--peers", type=Path, help="a venv with requirements-peers.txt")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--seconds", type=float, default=5, help="of each load at 32 clients; half of it at one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=int, default=0, metavar="REQUESTS")
    return parser.parse_args()


def _same(bench: Bench) -> bool:
    """On onnxruntime, which runs the file as it is."""
    found = {name: _searched(bench, name, SEARCHED[name]) for name in PEERS}
    with ExitStack() as stack:
        ours = darkroom(bench.home, "fp32", engine="onnxruntime", log=bench.log("same-darkroom"))
        servers = [stack.enter_context(ours)]
        servers += [stack.enter_context(_peer(bench, name, found[name])) for name in PEERS]
        alone = _bare(bench, "fp32", "onnxruntime")
        title = "Same decode, engine (onnxruntime, fp32) and post-processing"
        return _table(bench, title, servers, alone, goal=SAME_GOAL, ours=1)


def _own(bench: Bench) -> bool:
    """The peers' engines are searched with the workers that were best in most runs: one a core."""
    one_a_core = PeerSettings(workers=2, threads=1, path="own")
    searched = [replace(one_a_core, engine=each) for each in ("onnxruntime", "openvino")]
    searched += [replace(searched[0], workers=1, threads=2), replace(searched[1], workers=1, threads=2)]
    found = {name: _searched(bench, name, searched) for name in PEERS}
    with ExitStack() as stack:
        precisions = sorted(bench.exports, key=lambda name: _milliseconds(bench.exports[name]))
        servers = [
            stack.enter_context(darkroom(bench.home, each, engine="auto", log=bench.log(f"own-darkroom-{each}")))
            for each in precisions
        ]
        servers += [stack.enter_context(_peer(bench, name, found[name])) for name in PEERS]
        default = replace(one_a_core, engine="openvino, its default precision")
        servers.append(replace(stack.enter_context(_peer(bench, "LitServe", default)), name="LitServe, uncertified"))
        alone = _bare(bench, precisions[0], None)
        title = "Each with its own best"
        return _table(bench, title, servers, alone, goal=OWN_GOAL, ours=len(precisions))


def _api(bench: Bench) -> bool:
    return one_client(bench.home, bench.exports["fp32"].file, bench.contents, turns=TURNS * bench.rounds, log=bench.log)


_PARTS: Mapping[str, Callable[[Bench], bool]] = {"same": _same, "own": _own, "api": _api}


def _milliseconds(export: Exported) -> float:
    return float(export.certificate["milliseconds"]["export"]["p50"])


def _searched(bench: Bench, name: str, searched: Sequence[PeerSettings]) -> PeerSettings:
    """The settings with the most requests a second at 32 clients."""
    found = {}
    for settings in searched:
        with _peer(bench, name, settings) as server:
            load(server, bench.images, clients=CLIENTS, seconds=1)
            figures = load(server, bench.images, clients=CLIENTS, seconds=max(2, bench.seconds / 2))
        found[settings] = 0.0 if figures.failed else figures.per_second  # one that refuses requests is not the best
        print(f"search: {name}, {settings}: {figures.per_second:.0f} a second, p99 {figures.p99:.0f} ms,", end=" ")
        print(f"{figures.failed} failed", flush=True)
    return max(found, key=found.__getitem__)


def _peer(bench: Bench, name: str, settings: PeerSettings) -> AbstractContextManager[Running]:
    return peer(name, bench.venv, bench.exports["fp32"], settings, log=bench.log(name))


def _bare(bench: Bench, precision: Precision, engine: str | None) -> Callable[[bool], Figures]:
    """At one client on all cores; else in as many threads as there are cores."""
    file, cores = bench.exports[precision].file, len(os.sched_getaffinity(0))
    one = [ExportPredictor(file, engine=open_engine(file, threads=cores, name=engine))]
    each = [ExportPredictor(file, engine=open_engine(file, threads=1, streams=cores, name=engine))] * cores
    return lambda busy: bare(each if busy else one, bench.contents, seconds=bench.seconds / 2)


def _table(
    bench: Bench,
    title: str,
    servers: Sequence[Running],
    alone: Callable[[bool], Figures],
    *,
    goal: float,
    ours: int,
) -> bool:
    """`ours`: how many of the servers are Darkroom's, first. The first of them has to meet the goal."""
    wanted = ExportPredictor(bench.exports["fp32"].file)
    rows: dict[str, dict[int, list[Figures]]] = {each.name: {1: [], CLIENTS: []} for each in servers}
    rows["bare predictor"] = {1: [], CLIENTS: []}
    for number in range(bench.rounds):
        for clients in (CLIENTS, 1):
            for server in [*servers[number % len(servers) :], *servers[: number % len(servers)]]:
                seconds = bench.seconds if clients > 1 else bench.seconds / 2
                with suspended([each for each in servers if each is not server]):
                    load(server, bench.images, clients=clients, seconds=1)  # it was suspended until now
                    rows[server.name][clients].append(load(server, bench.images, clients=clients, seconds=seconds))
            with suspended(servers):
                rows["bare predictor"][clients].append(alone(clients > 1))
    equal: dict[str, tuple[tuple[float, int], Precision]] = {}
    for index, server in enumerate(servers):
        precision = cast(Precision, server.name.split()[1]) if index < ours else "fp32"
        precision = "bf16" if index >= ours + len(PEERS) else precision
        equal[server.name] = (share_of_equal(server, wanted, bench.contents, BOUNDS[precision]), precision)
    print(f"\n{title}\n")
    print("\n".join(_lines(servers, rows, equal)), flush=True)
    return _meets(servers, rows, equal, goal=goal, ours=ours)


def _lines(
    servers: Sequence[Running],
    rows: Mapping[str, Mapping[int, Sequence[Figures]]],
    equal: Mapping[str, tuple[tuple[float, int], Precision]],
) -> Iterator[str]:
    head = (
        f"a second, {CLIENTS} clients",
        "p50",
        "p99",
        "processor time",
        "a second, 1 client",
        "p50",
        "p99",
        "longest",
        "equal boxes",
    )
    yield f"| | {' | '.join(head)} | settings |\n{'|---' * 11}|"
    settings = {each.name: each.settings for each in servers}
    for name, found in rows.items():
        cells = [f"{_middle(found, CLIENTS, 'per_second'):.0f}"]
        cells += [f"{_middle(found, CLIENTS, each):.0f} ms" for each in ("p50", "p99")]
        cells += [f"{_middle(found, CLIENTS, 'cpu'):.1f} ms", f"{_middle(found, 1, 'per_second'):.0f}"]
        cells += [f"{_middle(found, 1, each):.1f} ms" for each in ("p50", "p99", "longest")]
        if name in equal:
            (share, boxes), precision = equal[name]
            cells.append(f"{share:.1%} of {boxes} ({precision} bounds)")
        else:
            cells.append("")
        yield f"| {name} | {' | '.join(cells)} | {settings.get(name, '')} |"


def _meets(
    servers: Sequence[Running],
    rows: Mapping[str, Mapping[int, Sequence[Figures]]],
    equal: Mapping[str, tuple[tuple[float, int], Precision]],
    *,
    goal: float,
    ours: int,
) -> bool:
    peers = [each.name for each in servers[ours : ours + len(PEERS)]]
    best = max(peers, key=lambda name: _middle(rows[name], CLIENTS, "per_second"))
    better = {}
    for server in servers[:ours]:
        times = _middle(rows[server.name], CLIENTS, "per_second") / _middle(rows[best], CLIENTS, "per_second")
        better[server.name] = times
        print(f"{server.name}: {times:.2f} times {best} at {CLIENTS} clients (goal {goal})", flush=True)
    first = servers[0].name
    quicker = all(
        _middle(rows[first], clients, "p99") < _middle(rows[name], clients, "p99")
        for name in peers
        for clients in (1, CLIENTS)
    )
    compared = [equal[each.name] for each in servers[: ours + len(PEERS)]]
    same = all(share >= BOUNDS[precision].equal for (share, _), precision in compared)
    failed = sum(figures.failed for found in rows.values() for each in found.values() for figures in each)
    print(
        f"p99 lower than theirs: {quicker}; answers equal within the bounds: {same}; requests failed: {failed}",
        flush=True,
    )
    return better[first] >= goal and quicker and same and not failed


def _middle(found: Mapping[int, Sequence[Figures]], clients: int, name: str) -> float:
    """The median of the rounds."""
    return float(statistics.median(getattr(each, name) for each in found[clients]))


if __name__ == "__main__":
    sys.exit(main())
