"""The requested device as torch and ultralytics name it."""

import pytest
import torch

from core.domain.errors import TrainerCrashed
from pipeline.trainers.device import choose_device, visible_device


@pytest.fixture
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with `cuda`, `mps` or no GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param == "cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: request.param == "mps")


@pytest.mark.parametrize(
    ("gpu", "requested", "device"),
    [
        ("none", "auto", "cpu"),
        ("mps", "auto", "mps"),
        ("cuda", "auto", "cuda"),
        ("cuda", "cpu", "cpu"),
        ("cuda", "cuda", "cuda"),
        ("cuda", "cuda:1", "cuda:1"),
        ("cuda", "1", "cuda:1"),
    ],
    indirect=["gpu"],
)
@pytest.mark.usefixtures("gpu")
def test_a_device_is_chosen(requested: str, device: str) -> None:
    assert choose_device(requested) == device
    assert visible_device(requested) == torch.device(device.partition(":")[0])


@pytest.mark.parametrize("gpu", ["mps"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_auto_can_leave_out_the_gpu_of_a_mac() -> None:
    assert choose_device("auto", mps=False) == "cpu"


@pytest.mark.parametrize("requested", ["cuda", "cuda:0", "0"])
@pytest.mark.parametrize("gpu", ["none"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_the_machine_does_not_have_is_a_typed_failure(requested: str) -> None:
    with pytest.raises(TrainerCrashed):
        choose_device(requested)
