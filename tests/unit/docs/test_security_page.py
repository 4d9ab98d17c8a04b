"""docs/security.md: each attack has an answer and a test that exists and is not skipped for want of test data."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

from core.storage.attachment import attachment
from tests import REPOSITORY

ROWS = [
    line.split("|")
    for line in (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| attack")
]
_TEST = re.compile(r" `(tests/[\w/]+\.py)::(\w+)(?:\[(.+)\])?` ")


@pytest.mark.parametrize("row", ROWS, ids=[row[1].strip() for row in ROWS])
def test_each_line_names_an_answer_and_an_existing_test(row: list[str]) -> None:
    _, attack, answer, test, _ = row
    named = _TEST.fullmatch(test)
    assert attack.strip() and answer.strip() and named, row
    functions, texts, skipped = _read(REPOSITORY / named[1])
    assert named[2] in functions, test
    assert named[3] is None or named[3] in texts, test
    assert named[2] not in skipped, "a proof that is skipped without test data proves nothing elsewhere"


def test_no_attack_is_listed_twice() -> None:
    attacks = [row[1].strip() for row in ROWS]
    assert len(attacks) == len(set(attacks)) > 60


@pytest.mark.parametrize(
    "name", ['a"; filename="evil.exe', "a\r\nSet-Cookie: x=y", "a\\b.pt", "../../x", "\u202egpj.exe", "ü%0d%0a", ""]
)
def test_the_name_of_a_download_stays_one_header(name: str) -> None:
    value = attachment(name)
    value.encode("ascii")
    assert re.fullmatch(r"""attachment; filename="[^"\\/\r\n]+"; filename\*=UTF-8''[\w.%~-]+""", value), value


@lru_cache
def _read(path: Path) -> tuple[set[str], set[str], set[str]]:
    """The functions of a test file; every string in it, among which are the ids of parameters; what a mark may skip."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(module))
    functions = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
    texts = {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    marks = [ast.unparse(node.value) for node in module.body if isinstance(node, ast.Assign) and _is_pytestmark(node)]
    if any("skipif" in mark for mark in marks):
        return set(functions), texts, set(functions)
    skipped = {name for name, node in functions.items() if "skipif" in "".join(map(ast.unparse, node.decorator_list))}
    return set(functions), texts, skipped


def _is_pytestmark(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)
