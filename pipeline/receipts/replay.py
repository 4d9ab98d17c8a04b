"""The predictions of a receipt again, on this machine: the same answer, or what differs."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from core.domain.version import VERSION
from pipeline.export.bounds import BOUNDS, Bounds
from pipeline.export.file_precision import file_precision
from pipeline.predictor.engines import Device, EngineFailed, open_engine
from pipeline.predictor.libraries import library_versions
from pipeline.predictor.predictor import ExportPredictor
from pipeline.receipts.compare import Comparison, Sameness, compare
from pipeline.receipts.machine import this_machine
from pipeline.receipts.schema import Receipt, ReceiptImage
from pipeline.receipts.write import receipt_answer, thresholds_of

Verdict = Literal["receipt-changed", "other-model", "other-image", Sameness]
WORST_FIRST: tuple[Verdict, ...] = (
    *("receipt-changed", "other-model", "other-image", "other-answer"),
    *("within-bound", "same"),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """Between the receipt and the model, the libraries or the machine here."""

    what: str
    receipt: str
    here: str


@dataclass(frozen=True, slots=True)
class ReplayedImage:
    """`index`: in the receipt, from 0; None where no image of it has this sha256. `predictions`: of the receipt."""

    file: str
    sha256: str
    verdict: Verdict
    index: int | None = None
    predictions: int = 0
    comparison: Comparison | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """`verdict`: the worst of all. `images`: one for each file, none where another model was given."""

    verdict: Verdict
    differences: tuple[Difference, ...]
    images: tuple[ReplayedImage, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def replay(
    receipt: Receipt, files: Sequence[Path], model: Path, *, version_id: str | None = None, index: int | None = None
) -> Replayed:
    """`model`: an export. `version_id`: of the version that it is known to be of. `index`: the receipt's image that the
    only file is; otherwise files are found in the receipt by their sha256.

    Another model than the receipt's predicts only where it is of the same version, as another format or precision.
    Raises MetadataInvalid, EngineFailed, TilesInvalid, OSError.
    """
    changed = list(_of_digest("receipt.sha256", receipt.sha256, receipt.digest()))
    exchanged = list(_of_digest("model.sha256", receipt.model.sha256, _digest(model)))
    if exchanged and version_id != receipt.model.version_id:
        return Replayed("receipt-changed" if changed else "other-model", (*changed, *exchanged))
    predictor = _opened(model, receipt)
    precision = receipt.model.precision
    if not exchanged and precision != (own := file_precision(model, predictor.metadata.about)):
        exchanged.append(Difference("model.precision", precision, own))
        precision = own
    images = tuple(_replayed(receipt, predictor, file, index, BOUNDS[precision]) for file in files)
    verdicts: list[Verdict] = [each.verdict for each in images]
    if changed:
        verdicts.append("receipt-changed")
    if exchanged:
        verdicts.append("other-model")
    here = _differing(_facts(receipt), _facts_here(predictor, receipt))
    return Replayed(min(verdicts, key=WORST_FIRST.index), (*changed, *exchanged, *here), images)


def _of_digest(what: str, stated: str, found: str) -> Iterator[Difference]:
    if stated != found:
        yield Difference(what, stated, found)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _opened(model: Path, receipt: Receipt) -> ExportPredictor:
    """By the receipt's engine on its device, or where they are not here by what is."""
    threads, name = receipt.engine.threads, receipt.engine.name.partition(" ")[0]
    device = cast(Device, receipt.engine.device if receipt.engine.device in get_args(Device) else "auto")
    try:
        return ExportPredictor(model, engine=open_engine(model, threads=threads, name=name, device=device))
    except (ImportError, EngineFailed):
        return ExportPredictor(model, threads=threads)


def _replayed(
    receipt: Receipt, predictor: ExportPredictor, file: Path, index: int | None, bounds: Bounds
) -> ReplayedImage:
    content = file.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    found = _index_of(receipt.images, sha256, index)
    if found is None:
        return ReplayedImage(str(file), sha256, "other-image")
    wanted = receipt.images[found].answer
    options = receipt.options
    (result,) = predictor.predict(
        [content],
        min_score=options.confidence,
        iou=options.iou,
        top=options.top,
        tile=options.tile,
        overlap=options.overlap,
    )
    own = predictor.thresholds
    thresholds = own if options.confidence is None else (options.confidence,) * len(own)
    comparison = compare(wanted, receipt_answer(result), bounds, thresholds, predictor.metadata.classes)
    predictions = len(wanted.boxes or wanted.labels)
    return ReplayedImage(str(file), sha256, comparison.sameness, found, predictions, comparison)


def _index_of(images: Sequence[ReceiptImage], sha256: str, index: int | None) -> int | None:
    """The first with this digest: equal images have equal answers."""
    candidates = range(len(images)) if index is None else [index]
    return next((each for each in candidates if images[each].sha256 == sha256), None)


def _facts(receipt: Receipt) -> dict[str, Any]:
    return {
        "preprocessing": asdict(receipt.preprocessing),
        "output": asdict(receipt.output),
        "thresholds": receipt.thresholds.model_dump(),
        "engine": receipt.engine.model_dump(),
        "libraries": receipt.libraries,
        "machine": receipt.machine.model_dump(),
        "darkroom": receipt.darkroom,
    }


def _facts_here(predictor: ExportPredictor, receipt: Receipt) -> dict[str, Any]:
    engine = {"name": predictor.engine, "device": predictor.device, "precision": predictor.precision}
    return {
        "preprocessing": asdict(predictor.metadata.preprocessing),
        "output": asdict(predictor.metadata.output),
        "thresholds": thresholds_of(predictor, receipt.options).model_dump(),
        "engine": {**engine, "threads": receipt.engine.threads},
        "libraries": library_versions(),
        "machine": this_machine().model_dump(),
        "darkroom": VERSION,
    }


def _differing(receipt: Mapping[str, Any], here: Mapping[str, Any], *, place: str = "") -> list[Difference]:
    """Field by field, in the receipt's order; what one side alone has is `none` on the other."""
    found = []
    for name in [*receipt, *(each for each in here if each not in receipt)]:
        wanted, given = receipt.get(name), here.get(name)
        if isinstance(wanted, Mapping) and isinstance(given, Mapping):
            found += _differing(wanted, given, place=f"{place}{name}.")
        elif wanted != given:
            found.append(Difference(f"{place}{name}", _text(wanted), _text(given)))
    return found


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
