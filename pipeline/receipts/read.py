"""A receipt from a file, checked."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.receipts.schema import Receipt

MAX_BYTES = 64 * 1024**2  # 32 images of 3,000 boxes have 15 MB
SCHEMA_VERSION = 1
MAX_PROBLEMS = 5


class ReceiptInvalid(ValueError):
    """The file is no receipt that can be read; the message says why, and where."""


def read_receipt(file: Path) -> Receipt:
    """The file may also be a whole answer of the service, with its field `receipt`. Raises ReceiptInvalid, OSError."""
    with file.open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ReceiptInvalid(f"It has more than {MAX_BYTES} bytes: that is no receipt.")
    return _checked(_fields(content))


def _fields(content: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(content)
    except json.JSONDecodeError as error:
        raise ReceiptInvalid(f"It is no JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except (ValueError, RecursionError) as error:
        raise ReceiptInvalid("It is no JSON: it is not UTF-8, or nested too deeply.") from error
    if not isinstance(fields, dict):
        raise ReceiptInvalid("It is no receipt: a receipt is a JSON object.")
    if "receipt" in fields:
        fields = fields["receipt"]
        if not isinstance(fields, dict):
            raise ReceiptInvalid("The answer in it has no receipt: send `receipt=true` with the request.")
    return fields


def _checked(fields: dict[str, Any]) -> Receipt:
    if "images" in fields and "schema_version" not in fields and "model" in fields:
        raise ReceiptInvalid("The answer in it has no receipt: send `receipt=true` with the request.")
    if fields.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        stated = str(fields["schema_version"])[:20]
        raise ReceiptInvalid(f"Its schema_version is {stated}; this version of Darkroom reads {SCHEMA_VERSION}.")
    try:
        return Receipt.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        lines = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems[:MAX_PROBLEMS]]
        raise ReceiptInvalid(f"It is no receipt. {'; '.join(lines)}") from error
