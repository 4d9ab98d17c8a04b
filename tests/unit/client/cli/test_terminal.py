"""What is printed: hostile names as text, curves, images, and nothing wider than the terminal."""

import io
from collections.abc import Mapping

import pytest
from PIL import Image
from rich.console import Console

from darkroom.cli.curves import curve
from darkroom.cli.main_metrics import numbers
from darkroom.cli.output import Output
from darkroom.cli.tables import Column, Facts, Rows
from darkroom.cli.terminal_images import image_text, protocol_of
from darkroom.cli.text import duration, figure, log_line, safe, size
from darkroom.cli.training_view import TrainingView
from darkroom.cli.views import findings
from darkroom.schemas.datasets import Finding

HOSTILE = "\x1b[31mred\x1b[0m [bold]b[/bold] \u202etxt.exe \x07\x9b2J\r\n\u2066 :boom: \ud800"


def drawn(renderable: object, *, width: int = 80) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, markup=False, emoji=False
    )
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]  # of the StringIO


@pytest.mark.parametrize(
    "renderable",
    [
        Rows((Column("name"), Column("file", wraps=True)), [(HOSTILE, HOSTILE)]),
        Facts({"name": HOSTILE}),
        Facts({HOSTILE: "value"}),
        TrainingView("run_1", "shapes", stage=HOSTILE, epochs=2, epoch=1, metrics={HOSTILE: 0.5, "a": 1.0}),
    ],
)
def test_a_hostile_name_can_neither_colour_nor_hide_anything(renderable: object) -> None:
    text = drawn(renderable, width=300)
    assert not set(text) & set("\x1b\x07\x9b\r\u202e\u2066\ud800")
    assert "\\x1b[31mred" in text and "[bold]b[/bold]" in text and "\\u202etxt.exe" in text and ":boom:" in text


def test_a_message_can_neither(capsys: pytest.CaptureFixture[str]) -> None:
    Output().message(f"\nNext: darkroom train {HOSTILE}")
    Output().warning(HOSTILE)
    assert not set(capsys.readouterr().err) & set("\x1b\x07\x9b\r\u202e\u2066\ud800")


def test_text_that_harms_nobody_stays_as_it_is() -> None:
    for text in ("Waschbär 浣熊 🦝 👩\u200d🔬 می\u200cخواهم", "a b"):
        assert safe(text) == text
    assert log_line("\x1b[1m  1/50\x1b[K  0.5G\tx\rEpoch 2\x07\n") == "Epoch 2\\x07"


def test_a_detail_stands_below_its_finding_where_the_terminal_is_narrow() -> None:
    texts = ("of 128 px, the box begins at -3.5", "Draw it within the image.")
    one = Finding(
        "box-outside",
        "error",
        "a/long/folder/name/of/images/" + "x" * 40 + ".xml",
        *texts,
        line=12,
        title="A box is outside",
    )
    other = Finding("box-tiny", "note", "b.xml", "1.5 x 1 px " * 12, "Remove it.")
    table = findings([one, other])
    wide, narrow = drawn(table, width=160), drawn(table, width=80)
    assert "A box is outside" in drawn(table, width=240) and "finding" in narrow.splitlines()[0]
    assert "detail" in wide.splitlines()[0] and f"  {texts[0]}\n" not in wide
    lines = [line.rstrip() for line in narrow.splitlines()]
    assert max(map(len, lines)) <= 80 and "detail" not in lines[0]
    assert f"  {texts[0]}" in lines and " ".join(narrow.split()).count("1.5 x 1 px") == 12
    starts = [line.index("box-") for line in lines if "box-" in line]
    assert len(starts) == 2 and starts[0] == starts[1] == lines[0].index("code")


def test_counts_have_no_decimals() -> None:
    assert numbers({"images": 7.0, "boxes": 1_234_567, "mAP50": 1.0, "per_class": {}}) == {
        "images": 7, "boxes": 1_234_567, "mAP50": 1.0
    }  # fmt: skip
    printed = [figure(each) for each in numbers({"images": 7.0, "boxes": 1_234_567, "mAP50": 1.0}).values()]
    assert printed == ["7", "1234567", "1.000"]


def test_tables_drop_columns_rather_than_break_rows() -> None:
    columns = (Column("run"), Column("state"), Column("queued", from_width=110))
    table = Rows(columns, [("run_01kaj8x4b1c2d3e4f5g6h7j8k9", "running", "3 min ago")] * 3)
    assert "queued" in drawn(table, width=200) and "queued" not in drawn(table, width=80)
    assert len(drawn(table, width=40).splitlines()) == 4


def test_a_curve_rises_from_the_lower_left_to_the_upper_right() -> None:
    lines = curve([float(value) for value in range(40)], width=20, height=4)
    assert [len(line) for line in lines] == [20] * 4
    filled = [[index for index, cell in enumerate(line) if cell != chr(0x2800)] for line in lines]
    assert filled[3][0] == 0 and filled[0][-1] == 19 and filled[0][0] > filled[3][-1] - 2
    assert curve([], width=20, height=2) == ["", ""]
    assert set(curve([0.5] * 3, width=20, height=2)[0]) == {chr(0x2800)}


def test_an_id_is_never_cut_and_can_be_copied() -> None:
    run_id = "run_01m8qz4v7k3c9t2n5x8w6b1d4f"
    columns = (Column("run", whole=True), Column("project"), Column("progress"))
    text = drawn(Rows(columns, [(run_id, "a-project-with-a-long-name", "epoch 12 of 100, mAP50-95 0.712")]), width=60)
    assert run_id in text and max(map(len, text.splitlines())) <= 60


def test_a_training_is_drawn_in_80_and_in_200_columns() -> None:
    view = TrainingView("run_01kaj8x4b1c2d3e4f5g6h7j8k9", "shapes")
    for epoch in range(1, 31):
        metrics = {"mAP50": epoch / 40, "box_loss": 3 - epoch / 20, "lr": 1e-5}
        progress = {"epoch": epoch, "epochs": 50, "metrics": metrics, "seconds_left": 95.0}
        assert view.add({"state": "running", "stage": "training", "progress": progress})
    assert not view.add({"stage": "storing"})
    assert view.line().startswith("epoch 30/50  mAP50 0.750  box_loss 1.500  lr 1e-05  1 min 35 s left")
    for width in (80, 200):
        text = drawn(view, width=width)
        assert "mAP50  0.750" in text and "30/50" in text and "1 min 35 s left" in text
        assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM_PROGRAM": "iTerm.app", "TMUX": "/tmp/1"}, "blocks"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color"}, "blocks"),
    ],
)
def test_an_image_is_drawn_as_the_terminal_can(environment: Mapping[str, str], protocol: str) -> None:
    written = io.BytesIO()
    Image.new("RGB", (64, 32), (250, 10, 10)).save(written, "JPEG")
    text = image_text(written.getvalue(), columns=40, environment=environment)
    assert protocol_of(environment) == protocol
    start = {"iterm2": "\x1b]1337;File=inline=1", "kitty": "\x1b_Ga=T,f=100,c=40,m=", "blocks": "\x1b[38;2;2"}
    assert text.startswith(start[protocol])
    if protocol == "blocks":
        assert (text.count("▀"), text.count("\n")) == (400, 10)


def test_quantities_have_units() -> None:
    assert [size(each) for each in (0, 999, 290_748, 12_300_000)] == ["0 B", "999 B", "291 kB", "12.3 MB"]
    assert [duration(each) for each in (0, 59.6, 3725, 90_000)] == ["0 s", "1 min", "1 h 2 min", "1 d 1 h"]
    assert [figure(each) for each in (0.98765, 12, 0.0, 0.00001, None)] == ["0.988", "12", "0", "1e-05", "-"]
