"""The receipt of predictions that were just made."""

import hashlib
from collections.abc import Sequence

from core.domain.version import VERSION
from pipeline.predictor.libraries import library_versions
from pipeline.predictor.predictor import ExportPredictor, Prediction, PredictionFailed
from pipeline.receipts.machine import this_machine
from pipeline.receipts.schema import (
    Receipt,
    ReceiptAnswer,
    ReceiptEngine,
    ReceiptImage,
    ReceiptModel,
    ReceiptOptions,
    ReceiptThresholds,
)


def receipt_of(
    model: ReceiptModel,
    predictor: ExportPredictor,
    options: ReceiptOptions,
    images: Sequence[bytes],
    results: Sequence[Prediction | PredictionFailed],
    *,
    threads: int,
) -> Receipt:
    """`predictor`: the one that answered, with `threads`. The same answers of the same machine give the same bytes."""
    metadata = predictor.metadata
    return Receipt(
        darkroom=VERSION,
        model=model,
        preprocessing=metadata.preprocessing,
        output=metadata.output,
        options=options,
        thresholds=thresholds_of(predictor, options),
        engine=ReceiptEngine(
            name=predictor.engine, device=predictor.device, precision=predictor.precision, threads=threads
        ),
        libraries=library_versions(),
        machine=this_machine(),
        images=tuple(
            ReceiptImage(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), answer=receipt_answer(each))
            for content, each in zip(images, results, strict=True)
        ),
    ).sealed()


def thresholds_of(predictor: ExportPredictor, options: ReceiptOptions) -> ReceiptThresholds:
    own = predictor.thresholds if options.confidence is None else (options.confidence,)
    iou = predictor.metadata.output.iou if options.iou is None else options.iou
    return ReceiptThresholds(confidence=own[0] if len(set(own)) == 1 else own, iou=iou)


def receipt_answer(result: Prediction | PredictionFailed) -> ReceiptAnswer:
    if isinstance(result, PredictionFailed):
        return ReceiptAnswer(error=result.reason)
    return ReceiptAnswer(
        width=result.width,
        height=result.height,
        orientation=result.orientation,
        tiles=result.tiles,
        boxes=result.boxes,
        labels=result.labels,
    )
