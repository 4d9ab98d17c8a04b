"""An export from a trained model to its file and certificate: write -> certify, for int8 until one is near enough."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Protocol, cast

from core.domain.errors import ExportAccuracy, ExportUnsupported
from pipeline.export.bounds import BOUNDS
from pipeline.export.catalogue import FORMATS, ExportOptions
from pipeline.export.certificate import certify
from pipeline.export.exported_process import PredictorDied
from pipeline.export.exporter import ExportSource, exporter_of
from pipeline.export.held_out import HeldOutImage, held_out_images, in_classes_of_model, split_to_compare
from pipeline.export.options import validate_options
from pipeline.export.quantisation import ATTEMPTS, CALIBRATION_IMAGES, Attempt, Quantisation
from pipeline.export.synthetic_images import draw_synthetic_images
from pipeline.json_file import write_json
from pipeline.params.catalogue import TrainerEntry
from pipeline.predictor.package import ABOUT_FILE, CERTIFICATE_FILE, write_package
from pipeline.process.checkpoint_manifest import digest_of
from pipeline.trainers import Trainer

COMPARED_IMAGES = 200
SYNTHETIC = "synthetic"
WEIGHTS = ("best.pt", "model.zip", "model.onnx")
_LIBRARIES = (
    *("torch", "ultralytics-opencv-headless", "transformers"),
    *("onnx", "onnxruntime", "openvino", "nncf", "tensorrt", "numpy", "pillow", "opencv-python-headless"),
)


class Report(Protocol):
    """Progress of the export; both may raise RunCancelled."""

    def stage(self, name: str) -> None: ...

    def tick(self, done: int, total: int) -> None: ...


@dataclass(frozen=True, slots=True)
class ComparedImages:
    """`tree`: a prepared tree, None for images made on the spot. `split`: None for test, else val, else train."""

    tree: Path | None
    split: str | None = None
    at_most: int = COMPARED_IMAGES
    threads: int = 1


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """`certificate`: JSON values, see docs/exports.md. `about`: what export.json holds."""

    file: Path
    certificate: dict[str, Any]
    about: dict[str, Any]


def export_model(
    model: Path,
    entry: TrainerEntry,
    out: Path,
    options: ExportOptions,
    *,
    facts: Mapping[str, Any],
    compared: ComparedImages,
    report: Report,
) -> ExportedFile:
    """Writes the one file of the format into `out` (an empty folder, or a new one).

    `facts` become part of the description in the file. Raises ExportUnsupported, ExportAccuracy, FormatUnavailable,
    WeightsUnavailable, PredictorDied.
    """
    validate_options(entry.kind, **_fields(options))
    if options.precision == "int8" and compared.tree is None:
        raise ExportUnsupported("precision: int8 is calibrated on training images, and there is no dataset. Take fp16.")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=out) as name:
        return _Export(model, entry, options, compared, report, facts, Path(name)).write(out)


class _Export:
    def __init__(
        self,
        model: Path,
        entry: TrainerEntry,
        options: ExportOptions,
        compared: ComparedImages,
        report: Report,
        facts: Mapping[str, Any],
        scratch: Path,
    ) -> None:
        self._model, self._entry, self._options, self._compared = model, entry, options, compared
        self._report, self._scratch = report, scratch
        self._trainer = cast(Trainer, import_module(entry.trainer))
        self._format = FORMATS[options.format]
        self._has_truth = False
        self._about = {**facts, **_fields(options)}

    def write(self, out: Path) -> ExportedFile:
        self._report.stage("exporting")
        source = self._source()
        self._report.stage("loading")
        self._loaded = self._trainer.load(self._model)
        self._images, self._split = self._images_to_compare()
        if self._options.precision == "int8":
            self._require_truth()
            folder, certificate = self._within_bounds(source)
        else:
            folder = self._made("only", source)
            certificate = self._certified(folder)
        return self._delivered(out, folder, certificate)

    def _source(self) -> ExportSource:
        onnx_file, traced = self._scratch / "source.onnx", self._scratch / "source.torchscript"
        about = {name: value for name, value in self._about.items() if value is not None}
        try:
            self._trainer.export_onnx(self._model, onnx_file, about=about)
            if self._options.format == "torchscript":
                self._trainer.trace(self._model, traced)
        except ValueError as error:  # the predictor has no equal for it, or the trainer no such format
            raise ExportUnsupported(str(error)) from error
        return ExportSource(onnx_file, traced if traced.exists() else None)

    def _images_to_compare(self) -> tuple[list[HeldOutImage], str]:
        folder = self._scratch / "compared"
        folder.mkdir()
        tree = self._compared.tree
        if tree is None:
            return draw_synthetic_images(folder), SYNTHETIC
        split = self._compared.split or split_to_compare(tree)
        images = held_out_images(tree, split, at_most=self._compared.at_most, scratch=folder)
        placed = in_classes_of_model(images, tree, self._loaded.classes)
        self._has_truth = placed is not None and any(image.label is not None or len(image.boxes) for image in placed)
        return placed or images, split

    def _require_truth(self) -> None:
        """Raises ExportUnsupported: without a figure, nothing says what is lost."""
        if not self._has_truth:
            raise ExportUnsupported(
                f"precision: nothing in {self._split} of the dataset is of a class of the model, so that what int8 "
                "loses cannot be measured. Take fp16."
            )

    def _within_bounds(self, source: ExportSource) -> tuple[Path, dict[str, Any]]:
        """The first attempt that passes. Raises ExportAccuracy where none does."""
        images = self._calibration_images()
        attempts: list[dict[str, Any]] = []
        for number, attempt in enumerate(ATTEMPTS, 1):
            self._report.stage("quantising")
            quantisation = Quantisation(source.onnx, images, attempt)
            folder = self._made(f"attempt-{number}", replace(source, quantisation=quantisation))
            certificate = self._tried(folder)
            attempts.append(_tried_attempt(attempt, len(quantisation), certificate))
            if certificate["passed"]:
                return folder, {**certificate, "attempts": attempts}
            shutil.rmtree(folder)
        raise self._refused(attempts)

    def _calibration_images(self) -> list[Path]:
        folder = self._scratch / "calibration"
        folder.mkdir()
        tree = cast(Path, self._compared.tree)
        try:
            images = held_out_images(tree, "train", at_most=CALIBRATION_IMAGES, scratch=folder)
        except ValueError as error:  # it has none: the model was trained elsewhere
            raise ExportUnsupported(
                f"precision: int8 is calibrated on training images, and {error}. Take fp16."
            ) from error
        return [each.file for each in images]

    def _made(self, name: str, source: ExportSource) -> Path:
        folder = self._scratch / name
        folder.mkdir()
        exporter_of(self._options.format).write(source, folder, self._options)
        return folder

    def _tried(self, folder: Path) -> dict[str, Any]:
        try:
            return self._certified(folder)
        except PredictorDied as error:
            return {"passed": False, "reasons": [str(error)], "figures": None}

    def _certified(self, folder: Path) -> dict[str, Any]:
        self._report.stage("certifying")
        scratch = self._scratch / "certifying"
        scratch.mkdir(exist_ok=True)
        main = next(path for path in sorted(folder.iterdir()) if path.suffix != ".bin")
        certificate = certify(
            main,
            self._loaded,
            self._images,
            kind=self._entry.kind,
            precision=self._options.precision,
            threads=self._compared.threads,
            scratch=scratch,
            max_drop=self._options.max_drop,
            without_truth=not self._has_truth,
            frameworks=() if self._format.served else ("torch",),
            process=self._format.process,
            on_image=self._report.tick,
        )
        made = {"format": self._options.format, "nms": self._options.nms, "split": self._split}
        files = {"model": _files_of(_weights_in(self._model)), "export": _files_of(folder)}
        return {**certificate, **made, "files": files, "versions": _versions()}

    def _refused(self, attempts: Sequence[dict[str, Any]]) -> ExportAccuracy:
        most = BOUNDS["int8"].drop if self._options.max_drop is None else self._options.max_drop
        falls = [-attempt["change"] for attempt in attempts if attempt["change"] is not None]
        least = f"the smallest fall is {min(falls):.4f}" if falls else "none of the files could be run"
        return ExportAccuracy(
            f"int8: none of {len(attempts)} attempts is near enough to the model; {least}, and max_drop is {most}. "
            f"The last one: {' '.join(attempts[-1]['reasons'])}",
            attempts=list(attempts),
            max_drop=most,
        )

    def _delivered(self, out: Path, folder: Path, certificate: dict[str, Any]) -> ExportedFile:
        target = out / self._format.file
        about = {"schema": 1, **self._about, "files": certificate["files"]["export"], "versions": _versions()}
        files = {path.name: path for path in folder.iterdir()}
        if len(files) == 1 and target.name in files:
            files[target.name].replace(target)
        else:
            # Without the times: the same model is to give the same bytes.
            measured = {name: value for name, value in certificate.items() if name != "milliseconds"}
            for name, content in ((ABOUT_FILE, about), (CERTIFICATE_FILE, measured)):
                files[name] = folder / name
                write_json(files[name], content)
            write_package(target, files)
        return ExportedFile(target, {**certificate, "export": target.name}, about)


def _fields(options: ExportOptions) -> dict[str, Any]:
    return {
        "format": options.format,
        "precision": options.precision,
        "nms": options.nms,
        "max_drop": options.max_drop,
    }


def _tried_attempt(attempt: Attempt, images: int, certificate: Mapping[str, Any]) -> dict[str, Any]:
    figures = certificate["figures"]
    return {
        "name": attempt.name,
        "calibration_images": images,
        "change": figures["change"] if figures else None,
        "passed": certificate["passed"],
        "reasons": certificate["reasons"],
    }


def _weights_in(model: Path) -> Path:
    """A folder of artifacts has one of WEIGHTS, beside reports."""
    named = (model / name for name in WEIGHTS)
    return next((path for path in named if path.is_file()), model)


def _files_of(path: Path) -> list[dict[str, Any]]:
    written = sorted(path.iterdir()) if path.is_dir() else [path]
    return [{"name": each.name, **digest_of(each).model_dump()} for each in written]


def _versions() -> dict[str, str]:
    installed = {str(dist.metadata["Name"]).lower(): dist.version for dist in metadata.distributions()}
    return {name: installed[name] for name in _LIBRARIES if name in installed}
