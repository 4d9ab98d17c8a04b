"""What no linter of Dockerfiles or YAML knows: that the files fit the code they deploy."""

import importlib.util
import re
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from core.settings import Settings
from tests import REPOSITORY

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}


def test_every_setting_that_a_deploy_file_names_exists() -> None:
    known = {f"DARKROOM_{name.upper()}" for name in Settings.model_fields}
    texts = [DOCKERFILE, *((REPOSITORY / name).read_text() for name in ("docker-compose.yml", ".env.example"))]

    named = set(re.findall(r"DARKROOM_[A-Z0-9_]+", "".join(texts)))

    assert named <= known


def test_every_variable_that_compose_demands_is_in_the_example() -> None:
    demanded = set(re.findall(r"\$\{(\w+):\?", (REPOSITORY / "docker-compose.yml").read_text()))
    offered = set(re.findall(r"^(\w+)=", (REPOSITORY / ".env.example").read_text(), flags=re.MULTILINE))

    assert demanded <= offered


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_is_a_target_and_its_module_is_in_the_image(name: str) -> None:
    target = OURS[name]["build"]["target"]
    assert re.search(rf"^FROM \w+ AS {target}$", DOCKERFILE, flags=re.MULTILINE)

    command = OURS[name].get("command", [])
    if command[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(command[2]) is not None
        assert command[2].partition(".")[0] in copied_into(target)


def test_what_the_images_copy_is_sent_to_the_builder() -> None:
    sent = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE):
        for path in source.split():
            assert (REPOSITORY / path).exists(), path
            assert any(fnmatch(path, pattern) for pattern in sent), path


def test_the_api_image_holds_no_pytorch() -> None:
    installed = (REPOSITORY / "requirements.txt").read_text()

    assert not re.search(r"^(torch|ultralytics|mlflow|-r)", installed, flags=re.MULTILINE)
    assert "COPY --from=build-api /opt/venv" in stage("api")


def test_every_port_is_bound_to_loopback() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_image_is_pinned() -> None:
    images = [service["image"] for service in COMPOSE["services"].values() if "build" not in service]
    images += re.findall(r"^FROM (\S+:\S+)", DOCKERFILE, flags=re.MULTILINE)

    assert all(re.search(r":\d+\.\d+", image) for image in images)


def stage(target: str) -> str:
    found = re.search(rf"^FROM \w+ AS {target}$.*?(?=^FROM |\Z)", DOCKERFILE, flags=re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


def copied_into(target: str) -> set[str]:
    """The top-level folders in an image of ours."""
    text = stage(target) + stage("darkroom")
    return {source.partition("/")[0] for source in re.findall(r"^COPY (?!--from)(\S+)", text, flags=re.MULTILINE)}
