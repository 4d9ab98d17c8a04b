"""The package of errors names and prints every one of them."""

import re

from core.domain import errors


def test_every_error_is_named_by_the_package_and_printed_in_its_tree() -> None:
    known = {kind.__name__ for kind in errors.all_errors()}
    printed = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)*\b", (errors.__doc__ or "").split("An error carries")[0]))
    assert [name for name in sorted(known) if not hasattr(errors, name)] == []
    assert known - printed == set()


def test_an_error_that_crossed_a_process_boundary_is_the_same_error() -> None:
    raised = errors.ExportNotPassed("fp16 differs", export_id="export_1")
    again = errors.error_from_slug(raised.slug, raised.detail, **raised.facts)
    assert (type(again), again.as_problem()) == (type(raised), raised.as_problem())
    assert type(errors.error_from_slug("of a later version", "?")) is errors.Internal
