"""`python -m pipeline replay receipt.json image.jpg --bundle b.zip`: whether a prediction is made again, offline."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pipeline.cli.verify import MAX_FAULTS

if TYPE_CHECKING:
    from pipeline.receipts.replay import Replayed, ReplayedImage
    from pipeline.receipts.schema import Receipt

SAME, DIFFERS, NOT_REPLAYED, WITHIN_BOUND = 0, 1, 2, 3
MAX_LISTED = 10  # predictions that one side alone has
HINTS = {
    "receipt-changed": "The receipt was changed after it was written: its sha256 is that of another content.",
    "other-model": "The model is another one than that of the receipt.",
    "other-image": "An image is not the one of the receipt.",
    "other-answer": "The answer is another one.",
    "within-bound": "The same answer within the bound of the export's certificate, not to the last digit.",
    "same": "The same answer, to the last digit.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "exit status: 0 the same answer, to the last digit; 3 the same within the bound of the certificate;\n"
        "1 another image, model, receipt or answer; 2 something cannot be read, or the model cannot be run"
    )
    parser.add_argument("receipt", type=Path, help="the field `receipt` of an answer to receipt=true, or all of it")
    parser.add_argument("images", type=Path, nargs="+", help="image files, found in the receipt by their sha256")
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--bundle", type=Path, help="the bundle of the version; its model.onnx is run")
    model.add_argument("--model", type=Path, help="an export of the version, where that answered (.onnx, .xml, .zip)")
    parser.add_argument("--index", type=int, help="which image of the receipt the only file is, from 0")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")


def main(args: argparse.Namespace) -> int:
    """Returns 0: the same answer; 3: the same within the bound; 1: something differs; 2: it cannot be replayed."""
    from pipeline.predictor.engines import EngineFailed
    from pipeline.predictor.metadata import MetadataInvalid
    from pipeline.predictor.tile_options import TilesInvalid
    from pipeline.receipts.bundled_model import BundleInvalid
    from pipeline.receipts.read import ReceiptInvalid, read_receipt

    try:
        receipt = read_receipt(args.receipt)
        if args.index is not None and (len(args.images) > 1 or not 0 <= args.index < len(receipt.images)):
            return _complain(args, f"--index is for one file, and 0 to {len(receipt.images) - 1} in this receipt")
        found = _replayed(receipt, args)
    except ReceiptInvalid as error:
        return _complain(args, f"{args.receipt}: {error}")
    except BundleInvalid as error:
        faults = [str(each) for each in error.faults[:MAX_FAULTS]]
        return _complain(
            args, "\n  ".join([f"{args.bundle} is NOT as it was written, nothing of it was run:", *faults])
        )
    except (MetadataInvalid, EngineFailed, TilesInvalid) as error:
        return _complain(args, f"{args.model or args.bundle}: {error}")
    except OSError as error:
        return _complain(args, f"{error.filename}: {error.strerror}")
    sys.stdout.write(json.dumps(found.as_json(), indent=1) + "\n" if args.json else _text(receipt, found, args))
    return {"same": SAME, "within-bound": WITHIN_BOUND}.get(found.verdict, DIFFERS)


def _replayed(receipt: "Receipt", args: argparse.Namespace) -> "Replayed":
    from pipeline.receipts.bundled_model import model_of_bundle
    from pipeline.receipts.replay import replay

    if args.model:
        return replay(receipt, args.images, args.model, index=args.index)
    with TemporaryDirectory(prefix="darkroom-replay-") as folder:
        bundled = model_of_bundle(args.bundle, Path(folder))
        return replay(receipt, args.images, bundled.file, version_id=bundled.version_id, index=args.index)


def _complain(args: argparse.Namespace, message: str) -> int:
    if args.json:
        sys.stdout.write(json.dumps({"verdict": "not-replayed", "detail": message}, indent=1) + "\n")
    else:
        sys.stderr.write(f"python -m pipeline replay: {message}\n")
    return NOT_REPLAYED


def _text(receipt: "Receipt", found: "Replayed", args: argparse.Namespace) -> str:
    return "\n".join([*_lines(receipt, found, args), HINTS[found.verdict], ""])


def _lines(receipt: "Receipt", found: "Replayed", args: argparse.Namespace) -> Iterator[str]:
    model, engine = receipt.model, receipt.engine
    yield f"{model.name}, {model.format} {model.precision}, {engine.name} in {engine.precision}, {engine.device}"
    for image in found.images:
        yield from _of_image(receipt, image)
    left = len(receipt.images) - len({each.index for each in found.images if each.index is not None})
    if found.images and left:
        yield f"{left} of the receipt's {len(receipt.images)} images were not given"
    for each in found.differences:
        yield f"  {each.what}: {each.receipt} in the receipt, {each.here} here"
    if args.bundle and any(each.what == "model.sha256" for each in found.differences):
        yield (
            f"  {model.name} answered as {model.format} in {model.precision} ({model.export_id}); a bundle has one "
            "ONNX of its version. With that export itself: --model FILE instead of --bundle."
        )


def _of_image(receipt: "Receipt", image: "ReplayedImage") -> Iterator[str]:
    if image.index is None:
        only = f", which has {receipt.images[0].sha256}" if len(receipt.images) == 1 else ""
        yield f"{image.file}: no image of the receipt{only}; its sha256 is {image.sha256}"
        return
    wanted = receipt.images[image.index].answer
    what = "an error" if wanted.error else f"{image.predictions} {'boxes' if wanted.boxes else 'predictions'}"
    yield f"{image.file}: {image.verdict}; image {image.index} of the receipt, {what}"
    compared = image.comparison
    if compared is None or compared.sameness == "same":
        return
    yield from (f"  {fact}" for fact in compared.facts)
    if not compared.facts:
        moved = f"boxes moved by up to {compared.largest_shift:.3g} px, " if wanted.boxes else ""
        yield f"  {moved}scores by up to {compared.largest_score:.3g}"
    for name, listed in (("in the receipt alone", compared.missing), ("here alone", compared.added)):
        yield from (f"  {name}: {each}" for each in listed[:MAX_LISTED])
        if len(listed) > MAX_LISTED:
            yield f"  {name}: {len(listed) - MAX_LISTED} more"
