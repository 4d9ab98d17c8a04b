"""Reads a YAML file of a split (`train: [1.jpg, 2.jpg]`) as plain mappings and lists, every scalar a string."""

from typing import Any

import yaml

from pipeline.archive.encodings import UnknownEncoding, decode
from pipeline.archive.source import SourceFile
from pipeline.formats.plain_yaml import PlainLoader
from pipeline.formats.yolo_yaml import MAX_YAML_BYTES


def read_split_yaml(file: SourceFile) -> dict[str, Any] | list[Any]:
    """Empty for a YAML that is large, broken, or neither a mapping nor a list."""
    if file.bytes > MAX_YAML_BYTES:
        return {}
    try:
        plain = _plain(PlainLoader(decode(file.byte_range.read())).get_single_node())
    except (UnknownEncoding, yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return {}
    return plain if isinstance(plain, dict | list) else {}


def _plain(node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(each) for each in node.value]
    return node.value if isinstance(node, yaml.ScalarNode) else None
