"""The streaming reader returns what json.loads returns, wherever its window ends."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.formats import json_stream
from pipeline.formats.json_stream import JsonBroken, read_members

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False).map(float)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _whole(path: Path) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for element in read_members(path.open("rb")):
        if element.number is None:
            members[element.key] = element.value
        else:
            members.setdefault(element.key, []).append(element.value)
    return members


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(), values, max_size=4), st.sampled_from([None, 0, 1]), st.integers(1, 9))
def test_it_reads_what_json_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: dict[str, Any], indent: int | None, chunk: int
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document, indent=indent), encoding="utf-8")
    expected = {key: value for key, value in json.loads(path.read_text(), parse_float=Decimal).items() if value != []}
    assert _whole(path) == expected


def test_an_element_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('\ufeff{"a": [\r\n 1,\n\n {"x":\n 2}\n],\n "b": 3}', encoding="utf-8")
    assert [(element.key, element.number, element.line) for element in read_members(path.open("rb"))] == [
        ("a", 0, 2),
        ("a", 1, 4),
        ("b", None, 7),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("[]", 1),
        ('{"a": [1,\n2', 2),
        ('{"a": [1,\n2\n3]}', 3),
        ('{"a": 1,\n}', 2),
        ('{"a": ' + "[" * 200_000, 1),
        ('{"a": ' + "1" * 5000 + "}", 1),
        ('{"a": "\udcff"}', 1),
    ],
)
def test_invalid_json_is_reported_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(JsonBroken) as broken:
        _whole(path)
    assert broken.value.line == line


def test_an_element_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_ELEMENT_CHARS", 1000)
    monkeypatch.setattr(json_stream, "_CHUNK", 100)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": ["x" * 500] * 10}))
    assert len(_whole(path)["a"]) == 10
    path.write_text(json.dumps({"a": ["x" * 5000]}))
    with pytest.raises(JsonBroken, match="more than 1000 characters"):
        _whole(path)
