"""Config files of the command line: YAML or JSON, checked against a schema; errors are reported with their place.

Every field of a config without parts of its own is an argument too, and an argument wins over the file.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

Schema = TypeVar("Schema", bound=BaseModel)

WIDTH = 110  # columns of a help text


class ConfigInvalid(ValueError):
    """`problems`: one line each, `place: sentence`."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def add_config(parser: argparse.ArgumentParser, schema: type[BaseModel], *, more: str = "") -> None:
    """Adds `--config` and an argument for each plain field; the help lists all fields, then `more`."""
    parser.add_argument("--config", type=Path, help="a YAML or JSON file with the fields below")
    for name in _plain_fields(schema):
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, default=None, help=argparse.SUPPRESS)
    parser.usage = f"{parser.prog} [--config FILE] [--FIELD VALUE ...]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    head = "fields of the config; those without parts are arguments too (--out FOLDER), and win over the file:"
    parser.epilog = "\n".join([head, *field_lines(schema), *([more] if more else [])])


def read_config(args: argparse.Namespace, schema: type[Schema]) -> Schema:
    """The fields of the file, overridden by arguments. Raises ConfigInvalid with every problem, OSError."""
    content = load_file(args.config) if args.config else {}
    given = {name: value for name in _plain_fields(schema) if (value := getattr(args, name, None)) is not None}
    return checked(schema, {**content, **given})


def load_file(path: Path) -> dict[str, Any]:
    """The fields in it, unchecked. Raises ConfigInvalid unless it is a mapping in YAML or JSON, OSError."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except json.JSONDecodeError as error:
        raise ConfigInvalid([f"line {error.lineno}: {error.msg}"]) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigInvalid([f"line {line}: {error.problem or error.context}"]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigInvalid([f"line {line}: {error.reason}"]) from error
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigInvalid([f"line {line}: is not UTF-8"]) from error
    except RecursionError as error:
        raise ConfigInvalid(["line 1: is nested too deeply"]) from error
    except ValueError as error:  # an impossible date, a number of 5000 digits
        raise ConfigInvalid([f"config: {error}"]) from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ConfigInvalid(["line 1: must be fields with values, such as `out: folder`"])
    return content


def checked(schema: type[Schema], content: Mapping[str, Any], *, place: str = "") -> Schema:
    """Raises ConfigInvalid. `place`: where `content` stands, for the names of fields."""
    try:
        return schema.model_validate(dict(content))
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise ConfigInvalid(_problem(schema, one, place=place) for one in found) from error


def complain(command: str, config: Path | None, error: Exception) -> int:
    """Print what is wrong with a config, and where. Returns the exit status, 2."""
    text = str(error)
    head = str(config) if config else f"python -m pipeline {command}"
    lines = text.splitlines()
    sys.stderr.write(
        f"{head}: {text}\n" if len(lines) == 1 else "\n".join([f"{head}:", *(f"  {one}" for one in lines), ""])
    )
    return 2


def field_lines(schema: type[BaseModel], *, indent: str = "  ") -> list[str]:
    """For a help text: each field with its default and description, and its parts below it."""
    lines = []
    for name, field in _fields(schema).items():
        default = field.default
        value = "" if default is PydanticUndefined or default is None else f" = {_plain(default)}"
        text = f"{name}{value}  {field.description or ''}".rstrip()
        lines += textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}    ")
        part = _schema_in(field.annotation)
        lines += field_lines(part, indent=f"{indent}    ") if part else []
    return lines


def _problem(schema: type[BaseModel], error: ErrorDetails, *, place: str) -> str:
    where = ".".join([*([place] if place else []), *map(str, error["loc"])]) or "config"
    return f"{where}: {_sentence(schema, error)}"


def _sentence(schema: type[BaseModel], error: ErrorDetails) -> str:
    facts = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return _unknown(schema, error["loc"])
        case "greater_than_equal":
            return f"must be at least {facts['ge']:g}"
        case "less_than_equal":
            return f"must be at most {facts['le']:g}"
        case "greater_than":
            return f"must be above {facts['gt']:g}"
        case "less_than":
            return f"must be below {facts['lt']:g}"
        case "multiple_of":
            return f"must be a multiple of {facts['multiple_of']}"
        case "literal_error":
            return f"must be {facts['expected']}"
        case "int_parsing" | "int_type" | "int_from_float":
            return "must be a whole number"
        case "float_parsing" | "float_type":
            return "must be a number"
        case "bool_parsing" | "bool_type":
            return "must be true or false"
        case "string_type":
            return "must be text"
        case "path_type":
            return "must be a path"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "must be fields with values"
        case "value_error":
            return str(facts["error"])
        case _:
            return error["msg"][:1].lower() + error["msg"][1:]


def _unknown(schema: type[BaseModel], place: tuple[int | str, ...]) -> str:
    for part in place[:-1]:
        schema = _schema_in(_fields(schema)[str(part)].annotation) or schema
    names = list(_fields(schema))
    close = get_close_matches(str(place[-1]), names, n=1)
    return (
        f"there is no such field; did you mean {close[0]}?"
        if close
        else f"there is no such field; the fields are {', '.join(names)}"
    )


def _fields(schema: type[BaseModel]) -> dict[str, FieldInfo]:
    """By their names in a config."""
    return {field.alias or name: field for name, field in schema.model_fields.items()}


def _plain_fields(schema: type[BaseModel]) -> list[str]:
    """The fields that an argument can set: without parts, and not a list."""
    many = ("dict", "list", "tuple")
    return [
        name
        for name, field in _fields(schema).items()
        if _schema_in(field.annotation) is None and not any(kind in str(field.annotation) for kind in many)
    ]


def _schema_in(annotation: Any) -> type[BaseModel] | None:
    """The schema of a field that has parts, also an optional one."""
    for kind in (annotation, *(one for one in get_args(annotation) if one is not NoneType)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
