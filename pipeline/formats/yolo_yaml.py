"""Reads `data.yaml` as plain data: no custom tags, no aliases, no code, every scalar a string (`no` is a class)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml

from core.domain.findings import Finding
from pipeline.archive.encodings import UnknownEncoding, decode, decode_head
from pipeline.archive.source import SourceFile
from pipeline.formats.plain_yaml import PlainLoader, YamlRefused
from pipeline.formats.text import class_name_fault, clean_label

MAX_YAML_BYTES = 256 * 1024  # 10,000 class names; PyYAML reads about 100 KB a second
MAX_YAML_DEPTH = 8
YAML_SUFFIXES = (".yaml", ".yml")
_YAML_TAG = "tag:yaml.org,2002:"
_PLAIN_TYPES = ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")
_PLAIN_TAGS = frozenset({"!", *(f"{_YAML_TAG}{name}" for name in _PLAIN_TYPES)})
_SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(slots=True)
class DataYaml:
    """`names`: by class number; `parts`: split -> (path as written, line). `usable`: the names are reliable.

    `is_model`: it describes the layers of a network, and says nothing of the data.
    """

    file: SourceFile
    names: dict[int, str] = field(default_factory=dict)
    root: str = ""
    parts: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    keypoint_columns: int = 0
    findings: list[Finding] = field(default_factory=list)
    usable: bool = True
    is_model: bool = False


class _DataYamlLoader(PlainLoader):
    """Composes nodes only. A custom tag or deep nesting does not belong in a data.yaml."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        tag = getattr(self.peek_event(), "tag", None)  # type: ignore[no-untyped-call]
        if tag is not None and tag not in _PLAIN_TAGS:
            name = str(tag).replace(_YAML_TAG, "!!", 1)[:100]
            raise YamlRefused(f"The file has the tag `{name}`, which is not accepted.", self.next_line())
        self._depth += 1
        if self._depth > MAX_YAML_DEPTH:
            raise YamlRefused(f"The file has more than {MAX_YAML_DEPTH} levels.", self.next_line())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def find_yaml(files: tuple[SourceFile, ...]) -> list[SourceFile]:
    """Every YAML file that names classes or splits, `data.yaml` first, then the shallowest."""
    found = [file for file in files if file.name.lower().endswith(YAML_SUFFIXES) and _describes_data(file)]
    return sorted(found, key=lambda file: (not _is_named_data(file), file.name.count("/"), file.name))


def _is_named_data(file: SourceFile) -> bool:
    return PurePosixPath(file.name).stem.lower() in ("data", "dataset")


def _describes_data(file: SourceFile) -> bool:
    text = "\n" + decode_head(file.byte_range.read(MAX_YAML_BYTES))
    return any(f"\n{key}:" in text for key in ("names", "nc", "train")) or _is_named_data(file)


def read_yaml(file: SourceFile) -> DataYaml:
    data = DataYaml(file)
    if file.bytes > MAX_YAML_BYTES:
        _error(data, "yaml-invalid", f"The file has {file.bytes} bytes; the limit is {MAX_YAML_BYTES}.")
        return data
    try:
        text = decode(file.byte_range.read())
    except UnknownEncoding as error:
        _error(data, "yaml-invalid", str(error))
        return data
    loader = None
    try:
        loader = _DataYamlLoader(text)
        root = loader.get_single_node()
    except YamlRefused as refused:
        _error(data, "yaml-invalid", refused.detail, refused.line)
        return data
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        _error(data, "yaml-invalid", f"The file is not valid YAML: {error.problem}.", line)
        return data
    except yaml.reader.ReaderError as error:  # a character that YAML does not allow, such as NUL
        line = text.count("\n", 0, error.position) + 1
        _error(data, "yaml-invalid", f"The file is not valid YAML: {error.reason}.", line)
        return data
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two for `\UFFFFFFFF`, which is no character
        line = None if loader is None else loader.line + 1
        _error(data, "yaml-invalid", f"The file is not valid YAML: {' '.join(str(error).split())[:200]}.", line)
        return data
    if not isinstance(root, yaml.MappingNode):
        _error(data, "yaml-invalid", "The file is not a mapping of keys to values.")
        return data
    _read_keys(data, root)
    return data


def _read_keys(data: DataYaml, root: yaml.MappingNode) -> None:
    keys: dict[str, Any] = {}
    for key, value in root.value:
        name = str(key.value)
        if name in keys:
            _warn(data, "yaml-key-twice", f"The key {name[:40]!r} is listed twice; the last one is used.", _line(key))
        keys[name] = value
        if name == "download":
            _warn(data, "yaml-download", "`download` is ignored: the archive is the only source of data.", _line(key))
    data.is_model = not keys.keys().isdisjoint(("backbone", "head")) and keys.keys().isdisjoint(("names", "train"))
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
        _error(data, "yaml-names-invalid", "`names` is neither a list nor a mapping.", _line(node))
        return
    for key, value in entries:
        line = _line(value)
        number = int(key) if str(key).isascii() and str(key).isdigit() and len(str(key)) <= 6 else None
        if number is None or not isinstance(value, yaml.ScalarNode):
            _error(data, "yaml-names-invalid", "`names` must give one name for each class number.", line)
            continue
        name = clean_label(str(value.value))
        if not name:
            _error(data, "class-name-empty", f"Class {number} has no name.", line)
        elif fault := class_name_fault(name):
            _error(data, *fault, line)
        else:
            data.names[number] = name


def _compare_count(data: DataYaml, node: Any) -> None:
    count = str(node.value) if isinstance(node, yaml.ScalarNode) else "?"
    if data.names and count != str(len(data.names)):
        detail = f"`nc` is {count[:20]}, but {len(data.names)} names are listed; the names are used."
        _warn(data, "yaml-count-differs", detail, _line(node))


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


def _warn(data: DataYaml, code: str, detail: str, line: int) -> None:
    data.findings.append(Finding.of(code, data.file.name, detail, line=line))


def _error(data: DataYaml, code: str, detail: str, line: int | None = None) -> None:
    data.usable = False
    data.findings.append(Finding.of(code, data.file.name, detail, line=line))
