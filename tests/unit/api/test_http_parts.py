"""Small parts of the API: forms, file names, pages, statuses, and the address it may listen on."""

from html import unescape
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.__main__ import refusal_to_listen
from api.http.downloads import file_name
from api.uploads.body import safe_name
from api.web.pages import html_of, problem_page
from core.domain.errors import LimitExceeded, ProjectRenamed, TrainingFailed, UploadInvalid, all_errors
from core.settings import Settings
from http_common.multipart import MAX_FIELD_BYTES, FormReader
from http_common.problems import status_of

TYPE = "multipart/form-data; boundary=edge"
FILE = b"PK\r\n--edg" + bytes(range(256)) + b"\r\n--edge-not-yet\r\n--edgf\r\n"


@given(cuts=st.lists(st.integers(1, 700), max_size=12))
def test_a_form_is_read_the_same_in_blocks_of_any_size(cuts: list[int]) -> None:
    body = field("seed", "7") + file(FILE) + field("name", "Füchse & Co") + b"--edge--\r\nepilogue"
    received = bytearray()
    form = FormReader(TYPE, received.extend)
    edges = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    for start, end in pairwise(edges):
        form.feed(body[start:end])
    form.finish()
    assert bytes(received) == FILE
    assert (form.fields, form.file_name) == ({"seed": "7", "name": "Füchse & Co"}, "a b.zip")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'--edge\r\ncontent-disposition: form-data; name="upload"; filename="a.zip"\r\n\r\n', UploadInvalid),
        (b"--edge\r\ncontent-type: text/plain\r\n\r\n", UploadInvalid),
        (b'--edge\r\ncontent-disposition: form-data; name="file"\r\n\r\nx\r\n' * 2, UploadInvalid),
        (b"--other\r\n", UploadInvalid),
        (b'--edge\r\ncontent-disposition: form-data; name="x"\r\n\r\n' + b"y" * (MAX_FIELD_BYTES + 1), LimitExceeded),
        (
            b"".join(b'--edge\r\ncontent-disposition: form-data; name="%d"\r\n\r\n1\r\n' % n for n in range(33)),
            LimitExceeded,
        ),
    ],
)
def test_an_invalid_form_is_refused(body: bytes, error: type[Exception]) -> None:
    form = FormReader(TYPE, lambda _data: None)
    with pytest.raises(error):
        form.feed(body)


@pytest.mark.parametrize(
    ("host", "settings", "allowed"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("localhost", {}, True),
        ("192.0.2.1", {}, False),
        ("::", {}, False),
        ("darkroom.example", {}, False),
        ("192.0.2.1", {"api_token": "s"}, True),
        ("192.0.2.1", {"allow_open": True}, True),
    ],
)
def test_an_address_beyond_loopback_needs_a_token(host: str, settings: dict[str, object], allowed: bool) -> None:
    refusal = refusal_to_listen(Settings.model_validate(settings), host=host, setting="DARKROOM_API_HOST")
    assert (refusal == "") == allowed


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\set.zip", "set.zip"),
        ("a\r\nb\x00c.zip", "abc.zip"),
        ("Füchse.zip", "Füchse.zip"),
        ("x" * 500, "x" * 200),
    ],
)
def test_a_file_name_never_contains_a_path(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert "/" not in file_name(name, "v1", "best.pt") and '"' not in file_name('a"b')


def test_markdown_becomes_html_and_everything_else_in_it_is_escaped() -> None:
    html = html_of("# A & B\n\n<script>`x<y`</script>\n- one\n- `two`\n\n```sh\ncurl <url>\n```")
    assert "<script>" not in html and "<h1>A &amp; B</h1>" in html
    assert "<code>x&lt;y</code>" in html and "<li><code>two</code></li>" in html
    assert '<pre><code class="language-sh">curl &lt;url&gt;\n</code></pre>' in html
    assert "<p>See operations.</p>" in html_of("See [operations](../operations.md#limits).")


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "![x](data:text/html;base64,PHNjcmlwdD4=)",
        "<javascript:alert(1)>",
        '`"><script>alert(1)</script>`',
    ],
)
def test_hostile_text_on_a_page_is_escaped(hostile: str) -> None:
    problem = bytes(problem_page(hostile, hostile).body).decode()
    assert hostile in unescape(problem), "it is there, as text"
    for dangerous in ("<script", "<img", 'href="javascript', 'src="data'):
        assert dangerous not in problem


def test_every_error_has_a_status_of_its_family() -> None:
    for kind in all_errors():
        assert 400 <= status_of(kind) < 600 or (kind is ProjectRenamed and status_of(kind) == 308)
    assert status_of(TrainingFailed) == 500


def field(name: str, value: str) -> bytes:
    return f'--edge\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def file(content: bytes) -> bytes:
    head = b'--edge\r\nContent-Type: application/zip\r\nContent-Disposition: form-data; name="file"; filename="a b.zip"'
    return head + b"\r\n\r\n" + content + b"\r\n"
