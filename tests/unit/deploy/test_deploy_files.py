"""The deploy files fit the code that they deploy, which no linter of Dockerfiles or YAML checks."""

import importlib.util
import re
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from core.settings import Settings
from http_common.sites import host_names
from tests import REPOSITORY

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
BUILT = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
WORKFLOWS = {path.name: path.read_text() for path in sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))}
TARGETS = {"api", "serving", "worker", "mlflow"}


def test_every_setting_that_a_deploy_file_names_exists() -> None:
    known = {f"DARKROOM_{name.upper()}" for name in Settings.model_fields}
    texts = {name: (REPOSITORY / name).read_text() for name in ("Dockerfile", "docker-compose.yml", ".env.example")}

    named = {name: set(re.findall(r"DARKROOM_[A-Z0-9_]+", text)) for name, text in texts.items()}

    assert all(named.values()), "each of the files names some"
    assert set().union(*named.values()) <= known


def test_compose_opens_a_port_and_no_name() -> None:
    environment: dict[str, str] = COMPOSE["services"]["api"]["environment"]
    defaults = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(value)) for name, value in environment.items()}
    given = {name: defaults[f"DARKROOM_{name.upper()}"] for name in ("allow_open", "allowed_hosts", "public_url")}
    settings = Settings.model_validate({name: value for name, value in given.items() if value})

    assert settings.allow_open, "the container has to listen on its network"
    assert host_names(settings) == {"localhost", "127.0.0.1", "[::1]"}
    assert all(port.startswith("127.0.0.1:") for each in COMPOSE["services"].values() for port in each.get("ports", []))


def test_every_variable_that_compose_demands_is_in_the_example() -> None:
    demanded = set(re.findall(r"\$\{(\w+):\?", (REPOSITORY / "docker-compose.yml").read_text()))
    offered = set(re.findall(r"^(\w+)=", (REPOSITORY / ".env.example").read_text(), flags=re.MULTILINE))

    assert {"POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY"} <= demanded <= offered


def test_every_target_is_a_service_that_is_built() -> None:
    assert {service["build"]["target"] for service in BUILT.values()} == TARGETS


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_service_may_take_the_memory_of_the_machine(name: str) -> None:
    assert re.fullmatch(r"\d+[gm]|\$\{\w+:-\d+g\}", COMPOSE["services"][name]["mem_limit"])


@pytest.mark.parametrize("name", BUILT)
def test_a_built_service_is_a_target_and_its_module_is_in_the_image(name: str) -> None:
    target = BUILT[name]["build"]["target"]
    assert re.search(rf"^FROM \w+ AS {target}$", DOCKERFILE, flags=re.MULTILINE)

    command = BUILT[name].get("command", [])
    if command[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(command[2]) is not None
        assert command[2].partition(".")[0] in copied_into(target)


def test_each_image_has_the_packages_that_its_service_imports() -> None:
    for target in ("api", "serving", "worker"):
        here = REPOSITORY / target
        texts = [file.read_text() for folder in (here, REPOSITORY / "http_common") for file in folder.rglob("*.py")]
        imported = {name for text in texts for name in re.findall(r"^from (\w+)[. ]", text, flags=re.MULTILINE)}
        ours = {name for name in imported if (REPOSITORY / name / "__init__.py").exists()}
        assert ours <= copied_into(target), target


def test_what_the_images_copy_is_sent_to_the_builder() -> None:
    sent = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    copied = {path for source in sources for path in source.split()}

    assert {"core", "pipeline", "api", "worker", "constraints.txt"} <= copied
    for path in copied:
        assert (REPOSITORY / path).exists(), path
        assert any(fnmatch(path, pattern) or path.startswith(f"{pattern}/") for pattern in sent), path


def test_the_images_of_api_and_serving_have_no_pytorch() -> None:
    heavy = re.compile(r"^(torch|ultralytics|mlflow|-r (?!requirements\.txt))", flags=re.MULTILINE)

    assert heavy.search((REPOSITORY / "requirements-worker.txt").read_text()), (
        "the expression finds them where they are"
    )
    for name in ("requirements.txt", "requirements-serving.txt"):
        assert not heavy.search((REPOSITORY / name).read_text()), name
    assert "COPY --from=build-api /opt/venv" in stage("api")
    assert "COPY --from=build-serving /opt/venv" in stage("serving")


def test_every_port_is_bound_to_loopback() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_image_is_pinned() -> None:
    images = [service["image"] for service in COMPOSE["services"].values() if "build" not in service]
    bases = re.findall(r"^FROM (\S+:\S+)", DOCKERFILE, flags=re.MULTILINE)

    assert images and bases
    assert [image for image in images + bases if not re.search(r":\d+\.\d+", image)] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_to_a_commit_and_names_its_version(name: str) -> None:
    actions = re.findall(r"uses: (?!\./)(.+)$", WORKFLOWS[name], flags=re.MULTILINE)

    assert actions
    assert [action for action in actions if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)] == []


def test_a_pull_request_builds_every_image_with_a_cache_and_pushes_none() -> None:
    workflow = yaml.safe_load(WORKFLOWS["check.yml"])
    job = workflow["jobs"]["image"]
    (build,) = [step["with"] for step in job["steps"] if "docker/build-push-action" in step["uses"]]

    assert "pull_request" in workflow[True]  # YAML 1.1 reads the key `on` as true
    assert set(job["strategy"]["matrix"]["target"]) == TARGETS
    assert build["push"] is False
    assert build["cache-from"].startswith("type=gha") and build["cache-to"].startswith("type=gha")


def test_a_branch_with_a_pull_request_is_checked_once() -> None:
    triggers = yaml.safe_load(WORKFLOWS["check.yml"])[True]

    assert triggers["push"] == {"branches": ["main"]}


def stage(target: str) -> str:
    found = re.search(rf"^FROM \w+ AS {target}$.*?(?=^FROM |\Z)", DOCKERFILE, flags=re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


def copied_into(target: str) -> set[str]:
    """The top-level folders that the image of this target has."""
    text = stage(target) + stage("darkroom")
    return {source.partition("/")[0] for source in re.findall(r"^COPY (?!--from)(\S+)", text, flags=re.MULTILINE)}


def test_every_service_that_images_by_url_pass_through_knows_the_hosts() -> None:
    for name in ("api", "serving", "worker-operations"):
        assert "DARKROOM_IMAGE_HOSTS" in COMPOSE["services"][name]["environment"], name
    for name in ("api", "worker-prepare"):
        for places in ("HOSTS", "BUCKETS", "FOLDERS"):
            assert f"DARKROOM_IMPORT_{places}" in COMPOSE["services"][name]["environment"], name
    with_token = [
        name for name, each in COMPOSE["services"].items() if "DARKROOM_HUB_TOKEN" in each.get("environment", {})
    ]
    assert with_token == ["worker-prepare"]
