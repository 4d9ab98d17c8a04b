"""What a worker reports that it computes on."""

from pathlib import Path

import pytest

from pipeline.process.devices import Devices
from worker.supervision.devices import devices


def test_a_worker_that_computes_reports_its_engines_and_one_that_prepares_none() -> None:
    found = Devices.model_validate(devices("operations"))
    assert found.cores >= 1
    engines = {each.name: each for each in found.engines}
    assert "cpu" in engines["onnxruntime"].devices and engines["onnxruntime"].precisions == ("fp32", "fp16", "int8")
    assert engines["openvino"].precisions[:2] == ("fp32", "fp16") and "fp32" in engines["pytorch"].precisions
    assert devices("prepare")["engines"] == []


def test_gpus_are_those_that_the_driver_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = tmp_path / "nvidia-smi"
    query.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771'\necho 'Quadro RTX 4000, with Max-Q, 8192'\n")
    query.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    gpus = Devices.model_validate(devices("prepare")).gpus
    assert [(each.name, each.memory_bytes // 1024**2) for each in gpus] == [
        ("NVIDIA H200", 143771),
        ("Quadro RTX 4000, with Max-Q", 8192),
    ]
    query.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert devices("prepare")["gpus"] == []


def test_what_cannot_be_found_out_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.supervision.devices.COMMAND", ("/no/such/python",))
    assert devices("train") == {}
