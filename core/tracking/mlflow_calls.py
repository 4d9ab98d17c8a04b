"""What all calls of MLflow share: its errors as ours, names of tags, texts it can store."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from core.domain.errors import Unavailable
from core.tracking import Page, TrackerRefused

TAG = "darkroom."
OLD_TAG = "darkroom_"  # of copies made before there were projects
NOTE = "mlflow.note.content"
NOTE_LENGTH = 5000  # MLflow cuts at 8000
TAG_LENGTH = 5000

# Errors that come back however often the call is repeated. All others count as an MLflow that does not answer.
_REFUSALS = frozenset(
    {
        "ALREADY_EXISTS",
        "BAD_REQUEST",
        "FEATURE_DISABLED",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "INVALID_STATE_TRANSITION",
        "MALFORMED_REQUEST",
        "NOT_IMPLEMENTED",
        "PERMISSION_DENIED",
        "QUOTA_EXCEEDED",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_CONFLICT",
        "RESOURCE_DOES_NOT_EXIST",  # deleted in MLflow
        "RESOURCE_LIMIT_EXCEEDED",
    }
)
_NO_MODEL_NAME = re.compile(r"[/:.%\"']")


@contextmanager
def answering() -> Iterator[None]:
    """Raises TrackerRefused and Unavailable in place of MLflow's errors."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    try:
        yield
    except MlflowException as error:
        if error.error_code in _REFUSALS:
            raise TrackerRefused(str(error)[:500]) from error
        raise Unavailable("MLflow does not answer.", service="mlflow", cause=str(error)[:200]) from error
    except (RequestException, OSError) as error:
        raise Unavailable("MLflow does not answer.", service="mlflow", cause=str(error)[:200]) from error


def found(call: Callable[..., Any], *args: Any) -> Any | None:
    """What the call returns; None where MLflow lacks what it is about."""
    return _unless("RESOURCE_DOES_NOT_EXIST", call, *args)


def made(call: Callable[..., Any], *args: Any, **more: Any) -> Any | None:
    """What the call returns; None where MLflow has what it would make."""
    return _unless("RESOURCE_ALREADY_EXISTS", call, *args, **more)


def _unless(code: str, call: Callable[..., Any], *args: Any, **more: Any) -> Any | None:
    from mlflow.exceptions import MlflowException

    try:
        return call(*args, **more)
    except MlflowException as error:
        if error.error_code != code:
            raise
        return None


def tags_of(page: Page) -> dict[str, str]:
    """The tags of a page and its description, as MLflow names them. Keys that begin with `mlflow.` stay as they are."""
    named = {name if name.startswith("mlflow.") else TAG + name: value for name, value in page.tags.items()}
    return {name: text(value)[:TAG_LENGTH] for name, value in named.items()} | {NOTE: note_of(page)}


def registry_tags(page: Page) -> dict[str, str]:
    """For a registered model or version, which have a description of their own and neither user nor source."""
    return {name: value for name, value in tags_of(page).items() if name.startswith(TAG)}


def note_of(page: Page) -> str:
    return text(page.note)[:NOTE_LENGTH]


def old_tags(tags: Mapping[str, str]) -> list[str]:
    return sorted(name for name in tags if name.startswith(OLD_TAG))


def model_name(name: str) -> str:
    """A name that MLflow accepts for a logged model."""
    return _NO_MODEL_NAME.sub("-", text(name))


def delete_artifacts(client: Any, uri: str) -> None:
    """MLflow itself deletes them with `mlflow gc` alone, which no client can call."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    get_artifact_repository(uri, tracking_uri=client.tracking_uri).delete_artifacts()


def text(value: object) -> str:
    """Without lone surrogates, which are no UTF-8, and NUL characters, which PostgreSQL refuses."""
    return str(value).encode(errors="backslashreplace").decode().replace("\0", "\\0")
