"""What the page of a run makes of its history, its params and its log."""

from datetime import UTC, datetime

from api.pages.run_view import best_of, charts_of, figure_rows, log_text, split_params, stages_of
from core.services.runs.history import RunHistory, Step
from pipeline.params.catalogue import validate_params


def history(*epochs: dict[str, float | None], steps: tuple[str, ...] = ()) -> RunHistory:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    return RunHistory(dict(enumerate(epochs, 1)), [], [Step(at, name, 1, is_state=False) for name in steps])


def test_metrics_losses_and_the_rate_are_charts_and_a_loss_on_val_has_the_colour_of_its_training() -> None:
    made = charts_of(
        history({"recall": 0.1, "mAP50": 0.2, "zeta": 1, "box_loss": 3, "val_box_loss": 4, "cls_loss": 1, "lr": 0.01})
    )
    assert [(chart.key, [each.name for each in chart.series]) for chart in made] == [
        ("metrics", ["mAP50", "recall", "zeta"]),
        ("losses", ["box_loss", "val_box_loss", "cls_loss"]),
        ("rate", ["lr"]),
    ]
    box, val_box, other = made[1].series
    assert (box.color, box.dash) == (val_box.color, val_box.dash - 1) and other.color != box.color
    assert len({each.dash for each in made[0].series}) == 3, "colour is not the only difference"
    assert charts_of(history()) == []


def test_the_table_has_a_dash_for_what_was_not_finite_and_best_leaves_it_out() -> None:
    made = history({"mAP50": 0.41234567}, {"mAP50": None}, {"mAP50": 0.2})
    rows = figure_rows(made, charts_of(made))
    assert rows.split("\n")[:2] == [
        '<tr><th scope="row">1</th><td>0.4123</td></tr>',
        '<tr><th scope="row">2</th><td>–</td></tr>',
    ]
    assert best_of(made) == ("mAP50", 0.41234567, 1) and best_of(history({"loss": 1.0})) is None


def test_params_that_differ_from_the_default_come_first() -> None:
    params = validate_params("clip", {"templates": ["a {}."], "epochs": 4}).model_dump(mode="json")
    changed, others = split_params("clip", params)
    assert {each.name for each in changed} == {"templates", "epochs"} and "prompts" in {each.name for each in others}
    assert [each.name for each in split_params("gone", {"x": 1})[0]] == ["x"]


def test_an_ended_run_says_in_which_stage_it_ended() -> None:
    standings = [each.standing for each in stages_of("failed", None, history(steps=("loading", "training")))]
    assert standings == ["done", "done", "ended", "ahead", "ahead", "ahead"]
    assert {each.standing for each in stages_of("succeeded", None, history())} == {"done"}
    assert stages_of("queued", None, history(steps=("training",)))[0].standing == "now"


def test_a_log_is_drawn_as_a_terminal_would_in_the_end() -> None:
    raw = b"\x1b[34m\x1b[1mtrain:\x1b[0m ok\r\n 10%\r 50%\r100% done\n\x1b]0;title\x07x\x00\xff<b>\n"
    assert log_text(raw) == "train: ok\n100% done\nx\ufffd<b>\n"
