"""What the doctor says of workers."""

from darkroom.cli.checkup.workers import worker_checks

GPU = {"name": "NVIDIA H200", "memory_bytes": 150_754_820_096}
TORCH = {"name": "pytorch", "version": "2.14.1", "devices": ["cpu", "cuda"], "precisions": ["fp32", "bf16"]}
MACHINE = {"processor": "Xeon", "cores": 16, "gpus": [GPU], "engines": [TORCH]}


def test_each_worker_has_its_devices_and_what_its_engines_can_run() -> None:
    (check,) = worker_checks([{"name": "a:1", "role": "train", "devices": MACHINE}])
    assert (check.name, check.state) == ("train worker", "ok")
    assert check.detail == (
        "a:1: cpu with 16 cores (Xeon), cuda: NVIDIA H200 (151 GB); pytorch 2.14.1 on cpu cuda in fp32 bf16"
    )


def test_a_gpu_that_pytorch_cannot_use_is_a_warning() -> None:
    blind = MACHINE | {"engines": [TORCH | {"devices": ["cpu"]}]}
    (check,) = worker_checks([{"name": "a:1", "role": "train", "devices": blind}])
    assert check.state == "warn" and "CUDA" in check.remedy


def test_one_that_has_not_reported_yet_is_left_out() -> None:
    assert list(worker_checks([{"name": "a:1", "role": "prepare", "devices": None}])) == []
