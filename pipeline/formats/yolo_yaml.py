"""`data.yaml`, read as data: no foreign tags, no aliases, no code, every scalar a string (`no` is a class)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml

from core.domain.findings import Finding, Severity
from pipeline.archive.source import SourceFile
from pipeline.formats.text import MAX_CLASS_NAME, clean_label

MAX_YAML_BYTES = 256 * 1024  # 10,000 class names; PyYAML reads about 100 KB a second
MAX_YAML_DEPTH = 8
SUFFIXES = (".yaml", ".yml")
_YAML_TAG = "tag:yaml.org,2002:"
_PLAIN_TYPES = ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")
_PLAIN_TAGS = frozenset({"!", *(f"{_YAML_TAG}{name}" for name in _PLAIN_TYPES)})
_SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(slots=True)
class DataYaml:
    """`names` by class number; `parts`: split -> (path as written, line). `usable`: the names can be trusted."""

    file: SourceFile
    names: dict[int, str] = field(default_factory=dict)
    root: str = ""
    parts: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    keypoint_columns: int = 0
    findings: list[Finding] = field(default_factory=list)
    usable: bool = True


class _Refused(yaml.YAMLError):
    def __init__(self, detail: str, line: int) -> None:
        self.detail, self.line = detail, line
        super().__init__(detail)


class _PlainLoader(yaml.BaseLoader):
    """Only nodes are made of it. An alias can make a small file huge; deep nesting or a foreign tag is no data.yaml."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise _Refused("It has an alias (`*name`), which is never followed.", self._line())
        tag = getattr(self.peek_event(), "tag", None)  # type: ignore[no-untyped-call]
        if tag is not None and tag not in _PLAIN_TAGS:
            shown = str(tag).replace(_YAML_TAG, "!!", 1)[:100]
            raise _Refused(f"It has the tag `{shown}`, which is never followed.", self._line())
        self._depth += 1
        if self._depth > MAX_YAML_DEPTH:
            raise _Refused(f"More than {MAX_YAML_DEPTH} levels.", self._line())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _line(self) -> int:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        return int(event.start_mark.line) + 1


def find_yaml(files: tuple[SourceFile, ...]) -> list[SourceFile]:
    """Every YAML file that names classes or splits, `data.yaml` first, then the shallowest."""
    found = [file for file in files if file.name.lower().endswith(SUFFIXES) and _speaks_of_data(file)]
    return sorted(found, key=lambda file: (not _called_data(file), file.name.count("/"), file.name))


def _called_data(file: SourceFile) -> bool:
    return PurePosixPath(file.name).stem.lower() in ("data", "dataset")


def _speaks_of_data(file: SourceFile) -> bool:
    text = b"\n" + file.byte_range.read(MAX_YAML_BYTES).removeprefix(b"\xef\xbb\xbf")
    return any(f"\n{key}:".encode() in text for key in ("names", "nc", "train")) or _called_data(file)


def read_yaml(file: SourceFile) -> DataYaml:
    data = DataYaml(file)
    if file.bytes > MAX_YAML_BYTES:
        _error(data, "yaml-invalid", f"{file.bytes} bytes; at most {MAX_YAML_BYTES}.", "Keep names and paths alone.")
        return data
    try:
        text = file.byte_range.read().decode("utf-8-sig")
        root = yaml.compose(text, Loader=_PlainLoader)
    except UnicodeDecodeError:
        _error(data, "yaml-invalid", "It is no UTF-8.", "Save it as UTF-8.")
        return data
    except _Refused as refused:
        _error(data, "yaml-invalid", refused.detail, "Write names and paths alone.", refused.line)
        return data
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        _error(data, "yaml-invalid", f"It is no YAML: {error.problem}.", "Mend it.", line)
        return data
    except (yaml.YAMLError, ValueError) as error:
        _error(data, "yaml-invalid", f"It is no YAML: {' '.join(str(error).split())[:200]}.", "Mend it.")
        return data
    if not isinstance(root, yaml.MappingNode):
        _error(data, "yaml-invalid", "It is no mapping of keys to values.", "Write `names:` and the paths.")
        return data
    _read_keys(data, root)
    return data


def _read_keys(data: DataYaml, root: yaml.MappingNode) -> None:
    keys: dict[str, Any] = {}
    for key, value in root.value:
        name = str(key.value)
        if name in keys:
            detail = f"The key {name[:40]!r} is there twice; the last one counts."
            data.findings.append(_warning(data, "yaml-key-twice", detail, "Remove one.", _line(key)))
        keys[name] = value
        if name == "download":
            detail = "`download` is never run: data come from the archive alone."
            data.findings.append(_warning(data, "yaml-download", detail, "Remove it.", _line(key)))
    if "names" in keys:
        _read_names(data, keys["names"])
    if "nc" in keys and data.usable:
        _compare_count(data, keys["nc"])
    data.root = str(keys["path"].value) if isinstance(keys.get("path"), yaml.ScalarNode) else ""
    for key, split in _SPLIT_KEYS.items():
        paths = [entry for entry in _paths(keys.get(key)) if entry[0]]
        if paths:
            data.parts.setdefault(split, []).extend(paths)
    data.keypoint_columns = _keypoint_columns(keys.get("kpt_shape"))


def _read_names(data: DataYaml, node: Any) -> None:
    if isinstance(node, yaml.SequenceNode):
        entries: list[tuple[Any, Any]] = list(enumerate(node.value))
    elif isinstance(node, yaml.MappingNode):
        entries = [(key.value, value) for key, value in node.value]
    else:
        _error(data, "yaml-names-invalid", "`names` is no list and no mapping.", "List the names.", _line(node))
        return
    for key, value in entries:
        line = _line(value)
        number = int(key) if str(key).isascii() and str(key).isdigit() and len(str(key)) <= 6 else None
        if number is None or not isinstance(value, yaml.ScalarNode):
            detail = "`names` must give one name for each number."
            _error(data, "yaml-names-invalid", detail, "Write `0: cat`.", line)
            continue
        name = clean_label(str(value.value))
        if not name:
            _error(data, "class-name-empty", f"Class {number} has no name.", "Name it.", line)
        elif len(name) > MAX_CLASS_NAME:
            detail = f"A class name of {len(name)} characters; at most {MAX_CLASS_NAME}."
            _error(data, "class-name-too-long", detail, "Shorten it.", line)
        else:
            data.names[number] = name


def _compare_count(data: DataYaml, node: Any) -> None:
    count = str(node.value) if isinstance(node, yaml.ScalarNode) else "?"
    if data.names and count != str(len(data.names)):
        detail = f"`nc` says {count[:20]}, and the number of names is {len(data.names)}; the names count."
        data.findings.append(_warning(data, "yaml-count-differs", detail, "Correct nc.", _line(node)))


def _paths(node: Any) -> Iterator[tuple[str, int]]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for each in nodes:
        if isinstance(each, yaml.ScalarNode) and each.value not in ("null", "~"):
            yield str(each.value), _line(each)


def _keypoint_columns(node: Any) -> int:
    """`kpt_shape: [17, 3]` are 51 columns."""
    if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
        return 0
    sizes = [str(each.value) for each in node.value]
    if not all(size.isascii() and size.isdigit() and len(size) <= 4 for size in sizes):
        return 0
    return int(sizes[0]) * int(sizes[1])


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _warning(data: DataYaml, code: str, detail: str, remedy: str, line: int | None) -> Finding:
    return Finding(code, Severity.WARNING, data.file.name, detail, remedy, line)


def _error(data: DataYaml, code: str, detail: str, remedy: str, line: int | None = None) -> None:
    data.usable = False
    data.findings.append(Finding(code, Severity.ERROR, data.file.name, detail, remedy, line))
