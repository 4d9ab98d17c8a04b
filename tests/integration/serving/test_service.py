"""Readiness, metrics, and the end of the service."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from core.services.context import Platform
from tests import REPOSITORY
from tests.builders.served import publish
from tests.servers.predictions import predictions
from tests.waiting import wait_until


def test_the_service_is_ready_when_its_models_are_loaded_and_counts_what_it_does(
    platform: Platform, exports: dict[str, Path], images: list[bytes]
) -> None:
    name = publish(platform, "squares", exports["detection"])
    with predictions(platform, serving_preload=f"{name}, nobody") as (client, _):
        first = client.get("/ready")
        assert first.status_code == 200 or first.json()["slug"] == "model-loading"
        wait_until(lambda: client.get("/ready").status_code == 200, seconds=20, what="the models are loaded")
        assert client.get("/ready").json() == {"state": "ok", "models": 1}
        assert client.get("/v2/health/ready").json() == {"ready": True}
        for content in (images[0], images[1], b"text"):
            client.post("/predict/image", params={"model": name}, content=content)
        text = client.get("/metrics").text
        values = dict(re.findall(r"^(\S+) (\S+)$", text, flags=re.MULTILINE))
        assert values['darkroom_predicted_images_total{outcome="predicted"}'] == "2.0"
        assert values['darkroom_predicted_images_total{outcome="failed"}'] == "1.0"
        for stage in ("queued", "decode", "preprocess", "inference", "postprocess"):
            assert values[f'darkroom_prediction_seconds_count{{stage="{stage}"}}'] == "2.0"
        assert values[f'darkroom_model_requests_total{{model="{name}"}}'] == "3.0"
        assert float(values[f'darkroom_model_bytes{{model="{name}"}}']) > 0
        assert values['darkroom_model_events_total{event="loaded"}'] == "1.0"
        assert values["darkroom_serving_images_waiting"] == values["darkroom_serving_body_bytes"] == "0.0"
        assert values["darkroom_serving_images_limit"] == "258.0"
        assert 'route="/predict/image",status="422"' in text
        rules = yaml.safe_load((REPOSITORY / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"][1]["rules"]
        assert rules and all(name in text for rule in rules for name in re.findall(r"darkroom_[a-z_]+", rule["expr"]))


def test_a_service_whose_model_loads_slowly_is_not_ready_before(platform: Platform, exports: dict[str, Path]) -> None:
    name = publish(platform, "squares", exports["detection"])
    with predictions(platform, serving_preload=name, serving_load_seconds=0.001) as (client, _):
        wait_until(lambda: client.get("/ready").status_code == 200, seconds=20, what="the model is loaded")
        assert client.get("/ready").json()["models"] == 1


def test_what_was_accepted_is_answered_before_the_service_ends(
    platform: Platform, exports: dict[str, Path], images: list[bytes]
) -> None:
    name = publish(platform, "squares", exports["detection"])
    with predictions(platform, serving_threads=1) as (client, app), ThreadPoolExecutor(1) as other:
        send = lambda: client.post("/predict/image", params={"model": name}, content=images[0])  # noqa: E731
        assert send().status_code == 200
        pool = app.state.serving.pool
        pool._executor.submit(time.sleep, 1.0)
        answer = other.submit(send)
        wait_until(lambda: pool.accepted == 1, seconds=5, what="the image waits")
        app.state.server.should_exit = True
        assert answer.result(10).status_code == 200
