"""The environment to set before transformers or datasets is imported, so that they stay offline and write nowhere.

A test counts their network attempts: none. Without it a name that is not a folder costs 90 s of retries.
"""

import os
from pathlib import Path

OFFLINE = {
    **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
    **dict.fromkeys(("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "DO_NOT_TRACK"), "1"),
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_XET": "1",
    "TRANSFORMERS_VERBOSITY": "warning",
    "TOKENIZERS_PARALLELISM": "false",  # it warns at each fork of a loader
    "MPLBACKEND": "Agg",
    "WANDB_MODE": "disabled",
}


def go_offline(home: Path) -> None:
    """Set the environment of this process; all caches are made inside `home`, none in the user's folder."""
    os.environ.update(OFFLINE)
    # numpy's own threads wait for each other by spinning: on a busy machine they took 50 times as long as one alone.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # torch's wait so too. A step of a small ViT took 38 ms instead of 206 beside other work, 36 instead of 30 alone.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    home.mkdir(parents=True, exist_ok=True)
    for name in ("HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_MODULES_CACHE", "HF_ASSETS_CACHE"):
        os.environ[name] = str(home)


def see_one_gpu(device: str) -> None:
    """Of several GPUs only the one that `device` names, else the first: transformers would take them all at once."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    seen = visible.split(",") if visible is not None else None
    number = int(device.removeprefix("cuda:")) if device.removeprefix("cuda:").isdigit() else 0
    if seen is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(number)
    elif number < len(seen):
        os.environ["CUDA_VISIBLE_DEVICES"] = seen[number]
