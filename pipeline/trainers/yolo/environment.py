"""The environment of ultralytics, set before its import: no network access, and no files in the home folder.

A test counts its network attempts: none, with the environment, the settings and the fonts below. (It downloads missing
fonts even when it is offline by its settings.)
"""

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

OFFLINE = {
    "YOLO_OFFLINE": "true",  # no version check, no telemetry, no downloads
    "YOLO_AUTOINSTALL": "false",  # else it calls pip in the middle of a run
    "ULTRALYTICS_SAFE_LOAD": "true",  # .pt files are read with weights_only and a list of known classes
    "DO_NOT_TRACK": "1",
    "MPLBACKEND": "Agg",
    "WANDB_MODE": "disabled",
}

SETTINGS = {
    "settings_version": "0.0.8",  # with another version, key or type it rewrites the file with everything on
    "uuid": "",
    "api_key": "",
    "openai_api_key": "",
    **dict.fromkeys(("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb"), False),
    **dict.fromkeys(("vscode_msg", "openvino_msg"), False),
}


def go_offline(config: Path) -> None:
    """Sets the environment of this process and makes `config` a complete, private ultralytics config folder."""
    os.environ.update(OFFLINE)
    os.environ["YOLO_CONFIG_DIR"] = str(config)
    home = config / "Ultralytics"
    home.mkdir(parents=True, exist_ok=True)
    folders = {name: str(config / name) for name in ("datasets_dir", "weights_dir", "runs_dir")}
    (home / "settings.json").write_text(json.dumps({**SETTINGS, **folders}), encoding="utf-8")
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        shutil.copyfile(_a_font(), home / name)


def _a_font() -> Path:
    """DejaVu Sans of matplotlib, found without importing it."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("matplotlib is not installed; see requirements-worker.txt")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
