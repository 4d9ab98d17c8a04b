"""`python -m deploy.local.scenes out/` draws the demo's dataset, for inspection; see `pipeline.samples.scenes`."""

import argparse
from pathlib import Path

from pipeline.samples.scenes import write_archive


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.scenes", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for shapes-voc.zip and the same images, loose")
    parser.add_argument("--scenes", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shuffle-labels", action="store_true", help="name every box at random")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    archive = args.out / "shapes-voc.zip"
    write_archive(archive, scenes=args.scenes, seed=args.seed, shuffle_labels=args.shuffle_labels)
    print(archive)


if __name__ == "__main__":
    main()
