"""The Open Inference Protocol: by tritonclient[http], and byte for byte as it speaks by default: binary tensors."""

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from core.services.context import Platform
from core.services.models.versions import set_alias
from serving.routes import inference_protocol
from tests.builders.colour_models import DetectorModel
from tests.builders.served import publish
from tests.servers.predictions import predictions

NOT_FINITE = np.full(3 * 128 * 128, np.nan, "<f4").tobytes()
LENGTH = "inference-header-content-length"


@pytest.fixture
def client(platform: Platform, exports: dict[str, Path]) -> Iterator[httpx.Client]:
    publish(platform, "squares", exports["detection"])
    set_alias(platform.db, "squares", "production", version="v1")
    publish(platform, "halves", exports["classification"], kind="classification")
    with predictions(platform) as (opened, _):
        yield opened


def inferred(client: httpx.Client, model: str, request: dict[str, Any], binary: bytes = b"") -> httpx.Response:
    text = json.dumps(request).encode()
    headers = {LENGTH: str(len(text)), "content-type": "application/octet-stream"} if binary else {}
    return client.post(f"/v2/models/{model}/infer", content=text + binary, headers=headers)


def outputs_of(answer: httpx.Response) -> dict[str, Any]:
    """By name, with the values that follow the JSON."""
    assert answer.status_code == 200, answer.text
    length = int(answer.headers.get(LENGTH, len(answer.content)))
    body, rest = json.loads(answer.content[:length]), answer.content[length:]
    found = {}
    for output in body["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = output["data"]
            continue
        kind = {"FP32": "<f4", "INT64": "<i8"}.get(output["datatype"])
        found[output["name"]] = np.frombuffer(rest[:size], kind).tolist() if kind else rest[:size]
        rest = rest[size:]
    assert not rest
    return found


def as_elements(*images: bytes) -> bytes:
    return b"".join(len(each).to_bytes(4, "little") + each for each in images)


def test_images_go_in_as_bytes_or_as_base64_and_boxes_come_out_the_same(
    client: httpx.Client, images: list[bytes]
) -> None:
    binary = as_elements(*images[:2])
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(binary)}}
    defaults = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    by_bytes = outputs_of(inferred(client, "squares", defaults, binary))
    text = [base64.b64encode(each).decode() for each in images[:2]]
    plain = {"id": "7", "inputs": [{"name": "image", "shape": [2], "datatype": "BYTES", "data": text}]}
    answer = inferred(client, "squares", plain)
    by_text = outputs_of(answer)
    assert answer.json()["id"] == "7" and answer.json()["model_version"] == "1"
    assert set(by_text) == {"image", "class", "label", "score", "boxes"} and set(by_text["image"]) == {0, 1}
    assert by_bytes["label"] == as_elements(*(each.encode() for each in by_text["label"]))
    assert by_bytes["boxes"] == by_text["boxes"] and by_bytes["class"] == by_text["class"]
    direct = client.post("/predict/image", params={"model": "squares"}, content=images[0])
    first = [score for score, image in zip(by_text["score"], by_text["image"], strict=True) if image == 0]
    assert first == pytest.approx([each["score"] for each in direct.json()["images"][0]["boxes"]])
    few = plain | {"parameters": {"confidence": 0.999}, "outputs": [{"name": "score"}]}
    assert outputs_of(inferred(client, "squares", few)).keys() == {"score"}


def test_its_own_client_is_answered(client: httpx.Client, images: list[bytes]) -> None:
    with triton.InferenceServerClient(client.base_url.netloc.decode()) as own:
        assert own.is_server_ready() and own.is_model_ready("squares", "1")
        described = own.get_model_metadata("squares", "1")
        assert described["versions"] == ["1"]
        image = triton.InferInput("image", [2], "BYTES")
        image.set_data_from_numpy(np.array(images[:2], dtype=object))
        answer = own.infer("squares", [image], model_version="1", request_id="of-two")
        assert answer.get_response()["id"] == "of-two" and answer.get_response()["model_version"] == "1"
        direct = client.post("/predict/image", params={"model": "squares"}, content=images[0]).json()["images"][0][
            "boxes"
        ]
        first = answer.as_numpy("image") == 0
        assert first.any() and answer.as_numpy("boxes").shape == (len(first), 4)
        assert answer.as_numpy("score")[first].tolist() == pytest.approx([each["score"] for each in direct])
        assert [each.decode() for each in answer.as_numpy("label")[first]] == [each["label"] for each in direct]
        pixels = np.random.default_rng(0).random((2, 3, 128, 96), np.float32)
        tensor = triton.InferInput("pixels", list(pixels.shape), "FP32")
        tensor.set_data_from_numpy(pixels)
        found = own.infer("squares", [tensor], outputs=[triton.InferRequestedOutput("output")]).as_numpy("output")
        assert found.shape == DetectorModel().raw(pixels).shape
        assert np.allclose(found, DetectorModel().raw(pixels), atol=1e-3)
        with pytest.raises(triton.InferenceServerException, match="nothing-of-that-name"):
            own.infer("nothing-of-that-name", [image])


def test_a_batch_of_tensors_gives_what_the_model_gives(client: httpx.Client) -> None:
    pixels = np.random.default_rng(0).random((3, 3, 128, 96), np.float32)
    tensor = {"name": "pixels", "shape": [3, 3, 128, 96], "datatype": "FP32"}
    binary = {**tensor, "parameters": {"binary_data_size": pixels.nbytes}}
    wanted = DetectorModel().raw(pixels)
    by_bytes = {"inputs": [binary], "outputs": [{"name": "output", "parameters": {"binary_data": True}}]}
    for request, rest in ((by_bytes, pixels.tobytes()), ({"inputs": [{**tensor, "data": pixels.tolist()}]}, b"")):
        found = outputs_of(inferred(client, "squares", request, rest))["output"]
        assert np.allclose(np.reshape(found, wanted.shape), wanted, atol=1e-3)


def test_a_model_is_described_by_each_of_its_names(client: httpx.Client) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    for path in (
        "squares",
        "squares@production",
        "squares%40production",
        "squares/v1",
        "squares/versions/1",
        "squares/versions/v1",
    ):
        found = client.get(f"/v2/models/{path}").json()
        assert found["versions"] == ["1"] and {each["name"] for each in found["outputs"]} >= {"output", "boxes"}
        assert client.get(f"/v2/models/{path}/ready").json()["ready"] is True
        image = {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["no base64!"]}]}
        assert inferred(client, path, image).status_code == 400
    assert "boxes" not in {each["name"] for each in client.get("/v2/models/halves").json()["outputs"]}


def test_every_error_has_the_form_of_the_protocol(client: httpx.Client, images: list[bytes]) -> None:
    whole = as_elements(images[0])
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(whole)}}
    good = {"inputs": [tensor]}
    pixels = {"name": "pixels", "datatype": "FP32"}
    refused: list[tuple[dict[str, Any], bytes]] = [
        ({"inputs": []}, b""),
        ({"inputs": [{**tensor, "parameters": {}}]}, whole),
        ({"inputs": [{**tensor, "shape": [2]}]}, whole),
        (good, b"\xff\xff\xff\x7f" + whole[4:]),
        (good | {"outputs": [{"name": "other"}]}, whole),
        ({"inputs": [{**tensor, "data": [base64.b64encode(b"text").decode()]}]}, b""),
        ({"inputs": [{**pixels, "shape": [1, 3, 100, 100], "data": [0.0] * 30_000}]}, b""),
        ({"inputs": [{**pixels, "shape": [1, 3, 128, 128], "data": [0.0]}]}, b""),
        ({"inputs": [{**pixels, "shape": [-1, 3, 128, 128], "data": [[], {}]}]}, b""),
        ({"inputs": [{**pixels, "shape": [1, 3], "data": [0.0] * 3}]}, b""),
        ({"inputs": [{**pixels, "shape": [0, 3, 128, 128], "data": []}]}, b""),
        ({"inputs": [{**pixels, "shape": [10**30, 3, 128, 128], "data": [0.0]}]}, b""),
        ({"inputs": [{**pixels, "shape": [1, 3, 128, 128], "data": [10**400]}]}, b""),
        (
            {"inputs": [{**pixels, "shape": [1, 3, 128, 128], "parameters": {"binary_data_size": 4 * 49_152}}]},
            NOT_FINITE,
        ),
    ]
    answers = [(inferred(client, "squares", *each), 400) for each in refused]
    answers += [
        (client.post("/v2/models/squares/infer", content=b"{}", headers={LENGTH: "99"}), 400),
        (client.post("/v2/models/squares/infer", content=b"{}", headers={LENGTH: "-1"}), 400),
        (client.post("/v2/models/squares/infer", content=b"{}", headers=[(LENGTH.encode(), b"\xb2")]), 400),
        (client.post("/v2/models/squares/infer", content=b"{}", headers={LENGTH: "9" * 5000}), 400),
        (client.post("/v2/models/squares/infer", headers={"origin": "https://evil.example"}), 400),
        (client.get("/v2/models/nobody"), 404),
        (client.get("/v2/models/squares/versions/9/ready"), 404),
        (client.get("/v2/unknown"), 404),
        (client.delete("/v2/models/squares"), 405),
    ]
    for answer, status in answers:
        assert answer.status_code == status and set(answer.json()) == {"error"}, (answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/json" and answer.headers["x-request-id"]
    assert client.head("/v2/models/nobody").status_code == 404


def test_tensors_wait_in_the_same_queue_as_images_and_large_ones_keep_nobody_waiting(
    platform: Platform, exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(platform, "squares", exports["detection"])
    parsing, read = [], inference_protocol.read_request
    monkeypatch.setattr(
        inference_protocol,
        "read_request",
        lambda *given: parsing.append(threading.current_thread().name) or read(*given),
    )
    tensor = {"name": "pixels", "shape": [2, 3, 128, 96], "datatype": "FP32", "data": [0.0] * (2 * 3 * 128 * 96)}
    with predictions(platform, serving_threads=1, serving_waiting=1) as (client, app):
        assert inferred(client, "squares", {"inputs": [tensor]}).status_code == 200
        assert parsing[0].startswith("AnyIO"), "beside the event loop"
        app.state.serving.pool.accepted = 1
        try:
            refused = inferred(client, "squares", {"inputs": [tensor]})
        finally:
            app.state.serving.pool.accepted = 0
        assert refused.status_code == 429 and refused.headers["retry-after"] == "1"
