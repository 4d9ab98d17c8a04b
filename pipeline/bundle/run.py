"""A bundle from the files of a version: gather -> describe -> write."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import PIL

from pipeline.bundle.card import CardFacts, images_in, licence_text, model_card
from pipeline.bundle.licences import licences_of
from pipeline.bundle.markdown import literal
from pipeline.bundle.predictor_source import predictor_files
from pipeline.bundle.verify import MANIFEST, SCHEMA
from pipeline.bundle.zip_layout import digest_of, write_bundle
from pipeline.predictor.metadata import ExportMetadata
from pipeline.predictor.predictor import ExportPredictor
from pipeline.process.child import Channel
from pipeline.process.results import METADATA_FILE, Bundled, BundledFile, write_result
from pipeline.process.specs import BundleSpec

BUNDLE_FILE = "bundle.zip"
EXPORT_FILE = "model.onnx"
MODEL_FILE, METRICS_FILE = "model.json", "metrics.json"
SUMS_FILE = "SHA256SUMS"


def bundle(spec: BundleSpec, channel: Channel) -> Bundled:
    """Leaves `out/bundle.zip`, and then result.json. The same input makes the same bytes.

    Raises MetadataInvalid for a file that is no export, BundleTooLarge, OSError, RunCancelled.
    """
    channel.stage("describing")
    text = spec.out / "text"
    files = {**_copied(spec), **_described(spec, text)}
    channel.raise_if_cancelled()
    channel.stage("packing")
    contents = _with_sums(files, text)
    manifest = {
        "schema": SCHEMA,
        "bundle": spec.version["name"],
        "version_id": spec.version["version_id"],
        "files": [each.model_dump() for each in contents],
    }
    files[MANIFEST] = _put(text, MANIFEST, _json(manifest))
    order = [*(each.name for each in contents), MANIFEST]  # written last, and the last in the ZIP
    write_bundle(spec.out / BUNDLE_FILE, [(name, files[name]) for name in order])
    channel.raise_if_cancelled()
    done = Bundled(contents=[*contents, digest_of(files[MANIFEST], MANIFEST)])
    write_result(spec.out, done)
    return done


def _copied(spec: BundleSpec) -> dict[str, Path]:
    """Name in the bundle -> file that is there already."""
    weights, file = _weights(spec)
    images = {f"images/{name}": spec.artifacts / name for name in images_in(spec.artifacts, _metrics(spec))}
    files = {
        weights: file,
        EXPORT_FILE: spec.export,
        MODEL_FILE: spec.artifacts / MODEL_FILE,
        METRICS_FILE: spec.artifacts / METRICS_FILE,
        **images,
    }
    if spec.metadata is not None:
        files[METADATA_FILE] = spec.metadata
    return {name: path for name, path in files.items() if name != METRICS_FILE or path.is_file()}


def _described(spec: BundleSpec, text: Path) -> dict[str, Path]:
    """What is written for the bundle, into the folder `text`."""
    metadata = ExportPredictor(spec.export).metadata
    given = _facts(spec, metadata)
    images = images_in(spec.artifacts, given.metrics)
    written = {
        "README.md": model_card(given, images),
        "LICENCES.md": _licences(spec.version, images=bool(images)),
        "certificate.json": _json(spec.certificate),
        "fingerprint.json": _json(_fingerprint(spec)),
        "labels.json": _json(list(metadata.classes)),
        "preprocessing.json": _json(_preprocessing(metadata)),
        "requirements.txt": "".join(f"{name}=={version}\n" for name, version in _requirements().items()),
        "version.json": _json(spec.version),
        **predictor_files(),
    }
    return {name: _put(text, name, content) for name, content in written.items()}


def _facts(spec: BundleSpec, metadata: ExportMetadata) -> CardFacts:
    weights, file = _weights(spec)
    return CardFacts(
        version=spec.version,
        model=_model(spec),
        metrics=_metrics(spec),
        certificate=spec.certificate,
        dataset=_read(spec.metadata) if spec.metadata else None,
        metadata=metadata,
        weights=digest_of(file, weights),
        export=digest_of(spec.export, EXPORT_FILE),
    )


def _licences(version: Mapping[str, Any], *, images: bool) -> str:
    parent = version.get("parent")
    licences = licences_of(version, parent=literal(parent["name"]) if parent else None, images=images)
    return f"# Licences of what is in this bundle\n\n{licence_text(licences)}\n"


def _requirements() -> dict[str, str]:
    """The versions that the certificate was made with, also where onnxruntime is installed under another name."""
    return {"numpy": np.__version__, "onnxruntime": onnxruntime.__version__, "pillow": PIL.__version__}


def _fingerprint(spec: BundleSpec) -> dict[str, Any]:
    """Null for an imported version, whose dataset is not known."""
    metadata = _read(spec.metadata) if spec.metadata else {}
    names = ("content_fingerprint", "fingerprint_how")
    return {"fingerprint": spec.version["fingerprint"], **{name: metadata.get(name) for name in names}}


def _preprocessing(metadata: ExportMetadata) -> dict[str, Any]:
    """The description in the ONNX file, without the classes and the facts that other files have."""
    return {name: value for name, value in asdict(metadata).items() if name not in ("classes", "about")}


def _with_sums(files: dict[str, Path], text: Path) -> list[BundledFile]:
    """All files by name with their digests, and among them SHA256SUMS, which lists the others."""
    digests = [digest_of(path, name) for name, path in sorted(files.items())]
    files[SUMS_FILE] = _put(text, SUMS_FILE, "".join(f"{each.sha256}  {each.name}\n" for each in digests))
    return sorted([*digests, digest_of(files[SUMS_FILE], SUMS_FILE)], key=attrgetter("name"))


def _weights(spec: BundleSpec) -> tuple[str, Path]:
    """Their name in the bundle, and the file: those of an imported ONNX are called as the export is."""
    name = str(_model(spec)["weights"]["name"])
    return name if name != EXPORT_FILE else f"weights/{name}", spec.artifacts / name


def _model(spec: BundleSpec) -> dict[str, Any]:
    return _read(spec.artifacts / MODEL_FILE)


def _metrics(spec: BundleSpec) -> dict[str, Any]:
    """Empty for a version that was not evaluated."""
    file = spec.artifacts / METRICS_FILE
    return _read(file) if file.is_file() else {}


def _read(path: Path) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))


def _json(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _put(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="\n")
    return path
