"""Rules for every template, and every macro rendered, also with hostile text."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from starlette.requests import Request

from api.pages import rendering
from api.pages.assets import STATIC

TEMPLATES = sorted(rendering.TEMPLATES.rglob("*.html"))
SCRIPTS = sorted(path for path in (STATIC / "js").rglob("*.js"))
HOSTILE = "<img src=x onerror=alert(1)>\"' \u202e" + "x" * 1000
# What the Content-Security-Policy refuses, and what htmx would evaluate.
FORBIDDEN = re.compile(
    r"""\sstyle\s*=|\son[a-z]+\s*=|\shx-on|hx-vals\s*=\s*["']js:|<script(?![^>]*\ssrc=)|<style|javascript:"""
)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(rendering.TEMPLATES)))
def test_no_template_has_inline_script_or_style(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert FORBIDDEN.findall(text) == []
    assert "|safe" not in text.replace(" ", "") or path.name == "macros.html"
    rendering.templates().get_template(str(path.relative_to(rendering.TEMPLATES)))  # it compiles


def test_what_is_forbidden_is_found() -> None:
    for bad in (
        '<p style="x">',
        '<a onclick="x">',
        "<script>x</script>",
        '<p hx-on:click="x">',
        "<style>",
        "<script >",
    ):
        assert FORBIDDEN.search(bad), bad
    assert not FORBIDDEN.search('<script src="/x.js" defer></script> <p class="button">')


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(STATIC)))
def test_every_script_is_short_and_evaluates_and_inserts_no_text(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert re.findall(r"\beval\(|new Function|\.innerHTML|\.outerHTML|insertAdjacentHTML|document\.write", text) == []
    assert re.findall(r"""https?://(?!www\.w3\.org/2000/svg)""", text) == [], "nothing comes from elsewhere"
    for imported in re.findall(r'^import .*? from "(.+?)";|^import "(.+?)";', text, flags=re.MULTILINE):
        assert (path.parent / next(filter(None, imported))).is_file(), imported


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


VOID = {"img", "input", "meta", "link", "br", "hr"}
REQUEST = Request(
    {
        "type": "http",
        "method": "GET",
        "path": "/ui/",
        "query_string": b"cursor=a&state=ready",
        "headers": [(b"host", b"localhost:8000")],
        "scheme": "http",
    }
)
PROBLEM = {
    "type": "/problems/job-not-ready",
    "slug": "job-not-ready",
    "title": HOSTILE,
    "detail": HOSTILE,
    "errors": [{"field": HOSTILE, "message": HOSTILE}],
    "request_id": "req_1",
}
CALLS = {
    "icon": '{{ m.icon("check") }}',
    "badge": '{{ m.badge("running") }}{{ m.badge("failed") }}{{ m.badge(hostile) }}{{ m.badge("ready", hostile) }}',
    "metric": '{{ m.metric(0.94321, "mAP50") }}{{ m.metric(none, hostile) }}',
    "unlearned": '{{ m.unlearned(hostile) }}{{ m.unlearned("") }}',
    "change": "{{ m.change(-0.0123) }}",
    "card": "{% call m.card(hostile, level=3) %}{{ hostile }}{% endcall %}",
    "empty": '{{ m.empty(hostile, hostile) }}{% call m.empty("a") %}{{ hostile }}{% endcall %}',
    "problem": '{{ m.problem(problem) }}{{ m.problem({"title": "only this"}) }}',
    "copy": "{{ m.copy(hostile, hostile) }}",
    "progress": "{{ m.progress(0.25, hostile, hostile) }}{{ m.progress(none, 'unknown') }}",
    "tabs": '{{ m.tabs([("a", "/ui/?a=" ~ (hostile | urlencode), hostile, 12345), ("b", "/ui/", "b")], "a") }}',
    "pager": '{{ m.pager("next&cursor", request, "#list") }}{{ m.pager(none, request) }}',
    "bar": "{{ m.bar(3, 4, hostile, index=14) }}{{ m.bar(0, 0) }}",
    "thumb": '{{ m.thumb("job_1", {"sha256": "ab", "path": hostile}, boxes=true) }}',
    "class_name": "{{ m.class_name(hostile, 25) }}",
    "code_tabs": '{{ m.code_tabs([("curl", hostile), ("Python", "x")], hostile) }}',
    "field": '{% call m.field("lr", hostile, hostile, hostile, optional=true) %}<input id="lr">{% endcall %}',
    "hash": '{{ m.hash("a" * 64) }}',
    "project_nav": "{{ m.project_nav(hostile, 'models') }}",
    "away": "{{ m.away(problem, request) }}",
    "vendor_note": "{{ m.vendor_note() }}",
}


def rendered(source: str, **values: Any) -> str:
    template = rendering.templates().from_string('{% import "macros.html" as m %}' + source)
    return template.render(hostile=HOSTILE, problem=PROBLEM, request=REQUEST, **values)


def test_every_macro_is_rendered_here() -> None:
    module = rendering.templates().get_template("macros.html").module
    assert {name for name in vars(module) if not name.startswith("_")} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_macro_is_whole_named_and_escapes_what_it_is_given(name: str) -> None:
    page = Page(rendered(CALLS[name]))
    assert page.open == []
    values = [value or "" for _, attrs in page.tags for value in attrs.values()]
    assert not [tag for tag, attrs in page.tags if tag in ("script", "style") or attrs.get("src") == "x"]
    assert not [each for _, attrs in page.tags for each in attrs if each.startswith("on") or each == "style"]
    assert not [value for value in values if value.startswith("javascript:")]
    if "hostile" in CALLS[name] or name == "problem":
        assert HOSTILE in page.text or HOSTILE in values
    for tag, attrs in page.tags:
        if tag in ("button", "progress") or attrs.get("role") == "img":
            assert attrs.get("aria-label"), (tag, attrs)
        if tag == "img":
            assert attrs["alt"]


def test_states_and_figures_say_what_they_are_without_colour() -> None:
    assert "+0.010" in rendered("{{ m.change(0.01) }}")
    badge = Page(rendered('{{ m.badge("not_passed") }}'))
    assert badge.text.strip() == "not passed" and [tag for tag, _ in badge.tags if tag == "svg"]


def test_a_page_of_a_list_keeps_the_other_parameters() -> None:
    hrefs = [attrs["href"] for tag, attrs in Page(rendered('{{ m.pager("n&1", request) }}')).tags if tag == "a"]
    assert hrefs == ["/ui/?state=ready", "/ui/?state=ready&cursor=n%261"]


def test_a_problem_has_its_remedy() -> None:
    assert "What to do" in rendered("{{ m.problem(problem) }}")
    assert rendering.remedy("job-not-ready") and rendering.remedy("no-such-problem") == Markup("")
