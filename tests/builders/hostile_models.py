"""Uploads that are no model, or a broken or a hostile one, each with what its refusal says.

`main([FOLDER])` writes and imports all of them in one process, which changes its folder and its environment, and writes
the outcomes to FOLDER/outcomes.json: name -> the problem, null for an import.
"""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.builders.foreign_models import clip_files, detector, pt_of, torch_zip, vit_files, zip_of

MARK = "executed"  # what would exist in the folder of a test if anything of a model had run

Make = Callable[[Path], bytes]


class RunsCode:
    """A pickle that creates MARK when it is read with all rights."""

    def __init__(self, mark: Path) -> None:
        self._command = f"touch {mark}"

    def __reduce__(self) -> Any:
        return os.system, (self._command,)


class Foreign:
    """A class that is on no list."""

    task = "detect"


def linked_zip(files: Mapping[str, bytes], link: str) -> bytes:
    """With one entry that is a symbolic link."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0))
            info.external_attr = (0o120777 if name == link else 0o100644) << 16
            archive.writestr(info, b"/etc/passwd" if name == link else content)
    return out.getvalue()


def _tensor_changed(value: Callable[[Any], Any]) -> Make:
    def make(_mark: Path) -> bytes:
        model = detector()
        name, parameter = next(iter(model.named_parameters()))
        parent = model.get_submodule(name.rpartition(".")[0])
        parent._parameters[name.rpartition(".")[2]] = value(parameter)
        return pt_of(model)

    return make


def _not_a_number(parameter: Any) -> Any:
    import torch

    changed = parameter.detach().clone()
    changed.view(-1)[0] = float("nan")
    return torch.nn.Parameter(changed)


def _transposed(parameter: Any) -> Any:
    import torch

    return torch.nn.Parameter(parameter.detach().permute(1, 0, 2, 3).contiguous())


def _described(**changes: Any) -> Make:
    """A detector whose description of its layers is changed after it was built."""

    def make(_mark: Path) -> bytes:
        model = detector()
        model.yaml = {**model.yaml, **changes}
        return pt_of(model)

    return make


def _with_layer(layer: str, arguments: list[Any]) -> Make:
    def make(_mark: Path) -> bytes:
        model = detector()
        backbone = [[-1, 1, layer, arguments], *model.yaml["backbone"][1:]]
        model.yaml = {**model.yaml, "backbone": backbone}
        return pt_of(model)

    return make


def _segmenter(_mark: Path) -> bytes:
    model = detector()
    model.task = "segment"
    return pt_of(model)


def _runs_code_in_activation(mark: Path) -> bytes:
    return _described(activation=f"__import__('os').mkdir('{MARK}')")(mark)  # in the folder that the process is in


DETECTORS: Mapping[str, tuple[Make, str]] = {
    "raw-pickle": (lambda mark: pickle.dumps(RunsCode(mark)), "bare pickle"),
    "pickle-that-runs": (lambda mark: torch_zip(pickle.dumps({"model": RunsCode(mark)}, 2)), "posix.system"),
    "foreign-class": (lambda _: torch_zip(pickle.dumps({"model": Foreign()}, 2)), "Foreign"),
    "pickle-bomb": (lambda _: torch_zip(bytes(64 * 1024**2), deflated=True), "would grow"),
    "torchscript": (lambda _: zip_of({"m/data.pkl": b"", "m/constants.pkl": b"", "m/code/x.py": b""}), "TorchScript"),
    "code-in-activation": (_runs_code_in_activation, "Its activation is not one of PyTorch's"),
    "repeats-without-end": (_described(depth_multiple=16_000.0), "repeats its layers more than"),
    "layer-that-downloads": (_with_layer("TorchVision", [512, "resnet18", "DEFAULT", True, 2, True]), "TorchVision"),
    "layer-without-end": (_described(backbone=[[-1, 10**9, "Conv", [64, 3, 2]]]), "description"),
    "huge-layer": (_with_layer("Conv", [10**9, 3, 2]), "description"),
    "nan": (_tensor_changed(_not_a_number), "not finite"),
    "other-shape": (_tensor_changed(_transposed), "has the shape"),
    "fused": (lambda _: pt_of(detector().fuse(verbose=False)), "fused"),
    "segmentation": (_segmenter, "detection model"),
    "no-names": (lambda _: pt_of(_renamed(None)), "no class names"),
    "same-names": (lambda _: pt_of(_renamed({0: "box", 1: "box"})), "called 'box'"),
    "no-weights": (lambda _: torch_zip(pickle.dumps({"model": None}, 2)), "detection model"),
}


def _renamed(names: Any) -> Any:
    model = detector()
    model.names = names
    return model


def lying_header(*, shape: list[int], end: int, content: bytes = b"\0" * 8) -> bytes:
    """A .safetensors whose header claims a tensor of this shape and end."""
    header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return struct.pack("<Q", len(header)) + header + content


def _vit(files: Mapping[str, bytes] | None = None, **config: Any) -> Make:
    return lambda _mark: zip_of({**vit_files(**config), **(files or {})})


def _nan_vit(_mark: Path) -> bytes:
    import torch
    from safetensors.torch import load, save

    files = vit_files()
    state = load(files["model.safetensors"])
    state["classifier.bias"][0] = torch.nan
    return zip_of({**files, "model.safetensors": save(state)})


def _without(*names: str, **more: bytes) -> Make:
    def make(mark: Path) -> bytes:
        files = {name: content for name, content in vit_files().items() if name not in names}
        return zip_of({**files, **{name.replace("_dot_", "."): content for name, content in more.items()}})

    return make


def _remote_code(mark: Path) -> bytes:
    code = f"import os\nos.system('touch {mark}')\n".encode()
    reference = {"AutoModelForImageClassification": "modeling.Model", "AutoConfig": "modeling.Config"}
    return zip_of({**vit_files(auto_map=reference), "modeling.py": code})


def _processor(**changes: Any) -> Make:
    def make(_mark: Path) -> bytes:
        files = vit_files()
        content = json.loads(files["preprocessor_config.json"]) | changes
        return zip_of({**files, "preprocessor_config.json": json.dumps(content).encode()})

    return make


_CLAIM = 2 * 1024**3

CLASSIFIERS: Mapping[str, tuple[Make, str]] = {
    "not-an-archive": (lambda _: b"\x89PNG\r\n" + bytes(400), "PNG"),
    "nothing-in-it": (lambda _: zip_of({}), "empty"),
    "a-dataset": (lambda _: zip_of({"a/1.jpg": b"x", "a/1.xml": b"y"}), "1 .jpg, 1 .xml"),
    "a-pt-in-a-zip": (lambda _: zip_of({"best.pt": b"x"}), "upload that file itself"),
    "another-runtime": (lambda _: zip_of({"model.tflite": b"x"}), "1 .tflite"),
    "path-outside": (_vit({"../../evil.json": b"{}"}), "leaves the archive"),
    "symbolic-link": (lambda _: linked_zip(vit_files(), "config.json"), "a link"),
    "zip-bomb": (lambda _: zip_of({"config.json": bytes(64 * 1024**2)}, method=zipfile.ZIP_DEFLATED), "would grow"),
    "header-lies": (_without(model_dot_safetensors=lying_header(shape=[2], end=4096)), "cannot be read"),
    "two-gigabytes-claimed": (
        _without(model_dot_safetensors=lying_header(shape=[_CLAIM // 4], end=_CLAIM)),
        "cannot be read",
    ),
    "header-without-end": (_without(model_dot_safetensors=struct.pack("<Q", 2**62) + b"{}"), "cannot be read"),
    "nan-in-safetensors": (_nan_vit, "not finite"),
    "remote-code": (_remote_code, "auto_map"),
    "remote-code-of-processor": (_processor(auto_map={"AutoImageProcessor": "code.Processor"}), "auto_map"),
    "pickle-only": (_without("model.safetensors", pytorch_model_dot_bin=b"x"), "pickle"),
    "sharded": (_without("model.safetensors", **{"model-1_dot_safetensors": b"x"}), "one file"),
    "no-processor": (_without("preprocessor_config.json"), "missing"),
    "quantised": (_vit(quantization_config={"quant_method": "bitsandbytes"}), "quantization_config"),
    "another-kind": (_vit(model_type="bert", architectures=["BertForMaskedLM"]), "bert (BertForMaskedLM)"),
    "too-many-layers": (_vit(num_hidden_layers=10**9), "num_hidden_layers"),
    "much-larger-than-its-file": (_vit(hidden_size=8192, intermediate_size=32768, num_hidden_layers=12), "holds"),
    "other-shapes": (_vit(hidden_size=64), "has the shape"),
    "more-classes-than-rows": (_vit(id2label={"0": "a", "1": "b", "2": "c"}, label2id=None), "has the shape"),
    "no-labels": (_vit(id2label=None, label2id=None), "id2label is missing"),
    "placeholder-labels": (_vit(id2label={"0": "LABEL_0", "1": "LABEL_1"}), "placeholders"),
    "same-labels": (_vit(id2label={"0": "box", "1": "box"}), "called 'box'"),
    "several-labels-an-image": (_vit(problem_type="multi_label_classification"), "problem_type"),
    "deep-json": (_without("config.json", config_dot_json=b'{"a":' * 100_000), "not JSON"),
    "huge-input": (_processor(size={"height": 900_000, "width": 900_000}), "px"),
    "clip-without-classes": (lambda _: zip_of(clip_files()), "name a dataset"),
}


def import_all(folder: Path) -> dict[str, Any]:
    """Each model through `import-model` -> its problem, None for one that was imported."""
    from pipeline.__main__ import run
    from pipeline.trainers.yolo.environment import go_offline

    go_offline(folder / "ultralytics")
    os.chdir(folder)
    outcomes: dict[str, Any] = {}
    for name, (make, _) in {**CLASSIFIERS, **DETECTORS}.items():
        source, out = folder / f"{name}{'.pt' if name in DETECTORS else '.zip'}", folder / name
        source.write_bytes(make(folder / MARK))
        status = run(["import-model", str(source), str(out)])
        problem = out / "problem.json"
        outcomes[name] = json.loads(problem.read_text()) if status else None
    return outcomes


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0])
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    (folder / "outcomes.json").write_text(json.dumps(import_all(folder)))
    return 0
