"""The private words of earlier days stay out of code, documents and messages. The field has a term for each."""

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests import REPOSITORY

# In comments, docstrings, messages and documents.
WORDS = {
    "bell": "task queue",
    "rung": "enqueued",
    "tell": "report",
    "tells": "reports",
    "telling": "reporting",
    "told": "reported",
    "teller": "reporter",
    "aloud": "verbose",
    "wall": "archive validation",
    "judge": "validate (an archive), evaluate (a model)",
    "judges": "validates (an archive), evaluates (a model)",
    "judged": "validated (an archive), evaluated (a model)",
    "mend": "repair, fix",
    "mends": "repairs, fixes",
    "mended": "repaired, fixed",
    "mending": "repairing, fixing",
    "twin": "near-duplicate",
    "twins": "near-duplicates",
    "alike": "near-duplicate, similar",
    "shelf": "class folder",
    "shelves": "class folders",
    "garbage": "orphaned objects",
    "picture": "image",
    "pictures": "images",
    "insist": "retry_until_lost",
    "apart": "run_in_thread; distinguish",
    "verb": "command",
    "verbs": "commands",
    "shown": "rendered, listed, displayed",
}
# In names of modules, functions, classes and variables, as a component of the name.
NAMES = WORDS | {
    "ring": "enqueue",
    "hold": "lease",
    "beat": "heartbeat",
    "look": "poll; perceptual hash",
    "looks": "polls; perceptual hashes",
    "pace": "schedule",
    "examined": "validated",
    "asked": "requested",
}


class Allowed(NamedTuple):
    file: str
    words: frozenset[str]
    reason: str


ALLOWED = (
    Allowed("tests/unit/docs/test_words.py", frozenset(NAMES), "the list itself"),
    Allowed("CHANGELOG.md", frozenset(WORDS), "lists the old names beside the new ones"),
    Allowed("migrations/versions/0001_the_first_tables.py", frozenset({"rung"}), "a column that 0007 renames"),
    Allowed("migrations/versions/0007_field_terms.py", frozenset(WORDS), "renames what is stored"),
    Allowed("tests/builders/database_0006.py", frozenset(WORDS), "a database before that migration"),
    Allowed("tests/contract/core/test_migration.py", frozenset(WORDS), "the same database"),
    Allowed("pipeline/hub/columns.py", frozenset({"picture"}), "a usual name of a column of images"),
    Allowed("pipeline/params/clip.py", frozenset({"picture"}), "a prompt, which the model reads"),
    Allowed("docs/openapi.json", frozenset({"picture"}), "the same prompt, as a default"),
    Allowed("tests/integration/api/old_urls.json", frozenset({"picture"}), "the same"),
    Allowed("pipeline/formats/folder_relation.py", frozenset({"picture", "pictures"}), "usual names of folders"),
    Allowed("tests/unit/pipeline/formats/test_voc_arrangements.py", frozenset({"pictures"}), "the same"),
    Allowed("tests/unit/pipeline/hub/test_to_zip.py", frozenset({"picture"}), "the same"),
    Allowed("tests/unit/pipeline/archive/test_extract.py", frozenset({"tell"}), "a method of files"),
    Allowed("tests/servers/swift.py", frozenset({"ring"}), "a module of Swift"),
)
TEXTS = frozenset(
    {"", ".cfg", ".css", ".csv", ".example", ".html", ".ini", ".js", ".json", ".mako", ".md", ".sh", ".sql", ".svg"}
    | {".toml", ".txt", ".xsd", ".yaml", ".yml"}
)
IGNORED = frozenset({".venv", ".darkroom", ".git", "node_modules", "__pycache__"})
_PROSE_TOKENS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# A file that matches nothing here needs no tokenizing, which would take seconds for all of them.
_ANY = re.compile(
    rf"(?<![a-z])(?i:{'|'.join(NAMES)})(?![a-z])|(?:{'|'.join(map(str.title, NAMES))})(?![a-z])"
    rf"|{'|'.join(map(str.upper, NAMES))}"
)


class OldWord(NamedTuple):
    file: str
    line: int
    word: str
    term: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.word} -> {self.term}"


def test_no_old_word_is_left() -> None:
    files = _tracked_files()
    assert len(files) > 500
    assert sum(path.suffix == ".py" for path in files) > 400
    assert sum(path.suffix == ".md" for path in files) > 80
    left = [old for path in files for old in old_words(path) if not _is_allowed(old)]
    assert not left, "\n" + "\n".join(map(str, left))


def test_each_exception_is_still_needed() -> None:
    for file, words, _ in ALLOWED:
        found = {old.word for old in old_words(REPOSITORY / file)}
        assert words & found, file


def test_the_words_are_found_where_they_stand(tmp_path: Path) -> None:
    code = tmp_path / "module.py"
    code.write_text(
        'def lookAt(shelf_of):  # told once\n    """A twin."""\n    return f"shown {x}"\n', encoding="utf-8"
    )
    page = tmp_path / "page.md"
    page.write_text("A look at the\nWALL, and `rung_at`; a wallet.\n", encoding="utf-8")
    found = [(old.line, old.word) for path in (code, page) for old in old_words(path)]
    assert found == [(1, "look"), (1, "shelf"), (1, "told"), (2, "twin"), (3, "shown"), (2, "wall"), (2, "rung")]


def old_words(path: Path) -> list[OldWord]:
    """The old words in a file's path and in its lines."""
    file = str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else path.name
    named = [(1, part) for part in _parts(file) if part in NAMES]
    return [OldWord(file, line, word, NAMES[word]) for line, word in [*named, *_of_lines(path)]]


def _of_lines(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text(encoding="utf-8")
    if _ANY.search(text):
        yield from _of_code(text) if path.suffix == ".py" else _of_text(text)


def _of_code(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            yield from ((token.start[0], part) for part in _parts(token.string) if part in NAMES)
        elif token.type in _PROSE_TOKENS:
            yield from _of_text(token.string, first=token.start[0])


def _of_text(text: str, *, first: int = 1) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), first):
        yield from ((number, part) for part in _parts(line) if part in WORDS)


def _parts(text: str) -> list[str]:
    """The words of a text, and the components of the names in it, in lower case."""
    return [part.lower() for part in _PART.findall(text)]


def _is_allowed(old: OldWord) -> bool:
    return any(old.file == file and old.word in words for file, words, _ in ALLOWED)


def _tracked_files() -> list[Path]:
    paths = [path for path in _listed() if path.suffix == ".py" or path.suffix in TEXTS]
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def _listed() -> list[Path]:
    """What git tracks; without git, every file that is not generated here."""
    if not (REPOSITORY / ".git").exists():
        return [path for path in REPOSITORY.rglob("*") if not IGNORED & set(path.relative_to(REPOSITORY).parts)]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [REPOSITORY / name for name in listed.stdout.split("\0") if name]
