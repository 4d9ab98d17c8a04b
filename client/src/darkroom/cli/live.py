"""A run followed by its events: drawn, as lines, or as JSON Lines."""

from typing import TYPE_CHECKING

from darkroom.cli.session import Session
from darkroom.cli.training_view import TrainingView

if TYPE_CHECKING:
    from darkroom.schemas import Run

REFRESH_A_SECOND = 4


def draw_run(session: Session, run: "Run") -> None:
    """Until the run has ended. What is drawn stays as it was last."""
    view = TrainingView(run.run_id, run.project)
    if not session.out.is_live or session.out.as_json:
        _print_lines(session, run, view)
        return
    from rich.live import Live

    with Live(view, console=session.out.stderr, refresh_per_second=REFRESH_A_SECOND):
        for event in session.client.runs.events(run):
            view.add(event.data)


def _print_lines(session: Session, run: "Run", view: TrainingView) -> None:
    for event in session.client.runs.events(run):
        session.out.line(event)
        stage = view.stage
        if view.add(event.data):
            session.out.message(view.line())
        elif view.stage and view.stage != stage:
            session.out.message(f"{view.state}: {view.stage}")
