"""The figures of a version side by side: of its training, on the frozen test set, of its exported file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from api.pages.version_page import VersionPage
from api.schemas.evaluations import Evaluation
from api.schemas.exports import Export
from core.domain.evaluation_figures import METRICS_OF_KIND, Figure, figure_of_evaluation, figure_of_training

NAMES = {
    "mAP50": "mAP50",
    "mAP50-95": "mAP50-95",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "accuracy": "Accuracy",
    "equal": "of predictions equal the model's",
}


@dataclass(frozen=True, slots=True)
class FigureCard:
    """`figures`: by the metric's name, the main one first; empty where nothing was measured. `about`: one line."""

    key: str
    title: str
    about: str
    figures: Mapping[str, Figure]
    images: int | None
    href: str = ""
    note: str = ""


def figure_cards(page: VersionPage, exports: Sequence[Export]) -> list[FigureCard]:
    return [*_of_training(page), *_of_frozen(page), *_of_certificate(exports)]


def _of_training(page: VersionPage) -> Iterator[FigureCard]:
    about = {
        "val": "Its training's own report. Val chose the epoch and the thresholds, so it flatters a little.",
        "test": "Its training's own report. Nothing was chosen by these images, which differ from dataset to dataset.",
    }
    titles = {"val": "Val", "test": "Test"}
    for split, text in about.items():
        measured = page.version["metrics"].get(split)
        if not measured:
            continue
        images = measured.get("images")
        found = {
            name: figure
            for name in METRICS_OF_KIND[page.kind]
            if (figure := figure_of_training(measured.get(name), images, metric=name))
        }
        of = f" of {page.dataset_name.rpartition('/')[2]}" if page.dataset else ""
        yield FigureCard(split, f"{titles[split]}{of}", text, found, images)


def _of_frozen(page: VersionPage) -> Iterator[FigureCard]:
    if page.frozen is None:
        return
    title, about = (
        f"Frozen test set, generation {page.frozen.generation}",
        "The same images for all versions: compare by it.",
    )
    measured = next((each for each in page.own if page.is_frozen(each)), None)
    if measured is None:
        yield FigureCard("frozen", title, about, {}, page.frozen.images)
        return
    found = evaluation_figures(page.kind, measured)
    note = seen_note(measured)
    yield FigureCard("frozen", title, about, found, measured.metrics.get("images"), _address(page, measured), note)


def evaluation_figures(kind: str, evaluation: Evaluation) -> dict[str, Figure]:
    """By the name of each metric that it measured."""
    metrics = evaluation.metrics
    intervals = metrics.get("intervals") or {}
    found = {}
    for name in METRICS_OF_KIND[kind]:
        low, high = (intervals.get(name) or [None, None])[:2]
        figure = figure_of_evaluation(metrics.get(name), metrics.get("images"), low=low, high=high)
        if figure is not None:
            found[name] = figure
    return found


def seen_note(evaluation: Evaluation) -> str:
    """Whether the figures are flattered by images that the model knows; empty where they are not."""
    seen = evaluation.metrics.get("seen") or {}
    if seen.get("images"):
        main = METRICS_OF_KIND["classification" if "accuracy" in evaluation.metrics else "detection"][0]
        unseen = (evaluation.metrics.get("unseen") or {}).get(main)
        without = f"; without them {NAMES[main]} is {unseen:.3f}" if isinstance(unseen, int | float) else ""
        return f"It was trained on {seen['images']} of these images or near-duplicates of them{without}."
    if seen.get("known") is False:
        return "Not all images that it was trained on are known."
    return ""


_CERTIFIED = (
    "It is the file that answers, compared with the model image by image. {name} is of these answers; a training "
    "measures batches, so that the figures of weak models differ."
)


def _of_certificate(exports: Sequence[Export]) -> Iterator[FigureCard]:
    """Of the newest export in single precision that passed, which is what answers predictions."""
    for each in exports:
        if each.figure is None or not each.passed or each.precision != "fp32":
            continue
        equal = {"equal": Figure(each.predictions.share)} if each.predictions else {}
        figures = {**equal, each.figure.name: Figure(each.figure.export)}
        about = _CERTIFIED.format(name=NAMES[each.figure.name])
        yield FigureCard("certificate", f"{each.format} {each.precision}, certificate", about, figures, each.images)
        return


def _address(page: VersionPage, evaluation: Evaluation) -> str:
    return f"{page.base}/confusion?on={evaluation.evaluation_id}"
