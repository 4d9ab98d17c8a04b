"""The device that a training or an evaluation runs on."""

import torch

from core.domain.errors import TrainerCrashed


def choose_device(requested: str, *, mps: bool = True) -> str:
    """Returns `cpu`, `mps`, `cuda` or `cuda:N`. `mps`: whether `auto` may choose a Mac's GPU.

    Raises TrainerCrashed for an NVIDIA GPU on a machine without one.
    """
    if requested == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if mps and torch.backends.mps.is_available() else "cpu"
    if requested in ("cpu", "mps"):
        return requested
    if not torch.cuda.is_available():
        raise TrainerCrashed(f"The device {requested} is not on this machine.", device=requested)
    return requested if requested.startswith("cuda") else f"cuda:{requested}"


def visible_device(requested: str) -> torch.device:
    """As `choose_device`, after `see_one_gpu`: the requested GPU is the only visible one."""
    return torch.device(choose_device(requested).partition(":")[0])
