"""One import: what the upload is -> read and tried by its trainer -> evaluated on a named dataset -> model.json."""

import json
import platform
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import yaml

from core.domain.errors import DarkroomError, ParamsInvalid, TrainerCrashed, WeightsUnavailable
from core.domain.version import VERSION
from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.layouts import MANIFEST_FILE
from pipeline.model_import.contents import contents_of
from pipeline.model_import.folder import left_out_note, unpack_model
from pipeline.model_import.onnx_files import unpack_onnx
from pipeline.params.catalogue import CATALOGUE, IMPORTED
from pipeline.process.checkpoint_manifest import digest_of
from pipeline.process.results import ImportedModel, write_last, write_result
from pipeline.process.specs import ImportModelSpec
from pipeline.trainers import AdoptedModel, Reporter, Trainer
from pipeline.trainers.image_check import manifest_paths
from pipeline.trainers.model_refusal import Reason, refused
from pipeline.trainers.scratch import scratch_in
from pipeline.training.failures import as_failure
from pipeline.training.run import ARTIFACTS, MODEL_FILE

BATCH = 8  # images of an evaluation at once: on a CPU a larger batch takes more memory, not less time
PYTORCH_TRAINER, ONNX_TRAINER = "yolo", "onnx"
MODULES = {**IMPORTED} | {name: entry.trainer for name, entry in CATALOGUE.items()}


def import_model(spec: ImportModelSpec, report: Reporter) -> ImportedModel:
    """Leaves the artifacts in `out/artifacts`, model.json last, and then result.json.

    Raises ModelRefused, OutOfMemory, NoSpace, OutOfSpace, ImagesDiffer, RunCancelled.
    """
    artifacts = spec.out / ARTIFACTS
    artifacts.mkdir(parents=True, exist_ok=True)
    with scratch_in(spec.out) as work:
        try:
            imported = _imported(spec, artifacts, work, report)
        except (WeightsUnavailable, ParamsInvalid) as error:
            raise refused(Reason("", error.detail)) from error
        except (DarkroomError, MemoryError):
            raise
        except Exception as error:
            raise _as_refusal(error) from error
    write_result(spec.out, imported)
    return imported


def _imported(spec: ImportModelSpec, artifacts: Path, work: Path, report: Reporter) -> ImportedModel:
    report.stage("loading")
    trainer, model, left_out = _opened(spec, work)
    module = cast(Trainer, import_module(MODULES[trainer]))
    kind_of_set, classes = (None, None) if spec.dataset is None else _kind_and_classes(spec.dataset)
    adopted = module.adopt(model, artifacts, report, classes=classes)
    if kind_of_set not in (None, kind := adopted.kind):
        raise refused(Reason("", f"The model is for {kind}, and the dataset that was named is {kind_of_set}."))
    if kind == "detection":
        _write_names(adopted.classes, artifacts / "data.yaml")
    if spec.dataset is not None:
        _evaluate(module, spec.dataset, artifacts, report)
    report.stage("packing")
    content = _model_json(spec, trainer, kind, adopted, artifacts)
    write_last(artifacts / MODEL_FILE, json.dumps(content, indent=2, allow_nan=False) + "\n")
    notes = (*adopted.notes, *([left_out_note(left_out)] if left_out else []))
    return ImportedModel(trainer=trainer, kind=kind, classes=len(adopted.classes), notes=notes)


def _opened(spec: ImportModelSpec, work: Path) -> tuple[str, Path, tuple[str, ...]]:
    """The trainer by the content, what it reads, and the names of files that are left out. Raises ModelRefused."""
    contents = contents_of(spec.source)
    folder = work / "model"
    folder.mkdir()
    if contents.kind == "pytorch":
        model = folder / "model.pt"  # ultralytics reads no other suffix
        model.symlink_to(spec.source.resolve())
        return PYTORCH_TRAINER, model, ()
    if contents.kind == "onnx":
        return ONNX_TRAINER, folder, unpack_onnx(spec.source, contents, folder)
    unpacked = unpack_model(spec.source, contents, folder)
    return unpacked.trainer, folder, unpacked.left_out


def _kind_and_classes(tree: Path) -> tuple[str, list[str]]:
    manifest = json.loads((tree / MANIFEST_FILE).read_text(encoding="utf-8"))
    return str(manifest["kind"]), [str(each) for each in manifest["classes"]]


def _evaluate(module: Trainer, tree: Path, artifacts: Path, report: Reporter) -> None:
    present = manifest_paths(tree)
    splits = [split for split in HELD_OUT_SPLITS if present.get(split)]
    module.evaluate(artifacts, tree, artifacts, report, splits=splits, batch=BATCH, device="cpu")


def _write_names(classes: tuple[str, ...], path: Path) -> None:
    names = yaml.safe_dump({"names": dict(enumerate(classes))}, sort_keys=False, allow_unicode=True)
    path.write_text(names, encoding="utf-8")


def _model_json(
    spec: ImportModelSpec, trainer: str, kind: str, adopted: AdoptedModel, artifacts: Path
) -> dict[str, Any]:
    """The same fields as of a training, empty where there was none."""
    return {
        "schema": 1,
        "origin": "imported",
        "trainer": trainer,
        "kind": kind,
        "params": {},
        "classes": list(adopted.classes),
        "input_size": adopted.input_size,
        "fingerprint": None,
        "run_id": None,
        "attempt": spec.attempt,
        "ended": None,
        "epochs_done": None,
        "best_epoch": None,
        "source": {"name": spec.source_name, **digest_of(spec.source).model_dump()},
        "evaluated_on": spec.fingerprint,
        "weights": {"name": adopted.weights, **digest_of(artifacts / adopted.weights).model_dump()},
        "versions": {"darkroom": VERSION, "python": platform.python_version(), **adopted.versions},
        **adopted.facts,
    }


def _as_refusal(error: Exception) -> DarkroomError:
    """What a library raises on a broken file is the file's fault, unless memory or the disk ran out."""
    traceback.print_exception(error)
    failure = as_failure(error)
    if not isinstance(failure, TrainerCrashed):
        return failure
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    return refused(Reason("", f"The model cannot be read: {reason}"))
