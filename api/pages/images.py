"""The images of a dataset: a grid of all of them, and each in full, where its labels are corrected."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor
from api.images.selection import cursor_of, cursor_of_number, number_of_cursor, position_of, selection_of
from api.pages.dataset_frame import dataset_frame
from api.pages.image_tiles import BOXES_OUTLINED, PAGES, tile_of
from api.pages.rendering import render
from api.pages.suspects import SuspectLabels, suspects_of
from api.schemas.corrections import correction_of
from core.db.tables import DatasetRow, JobRow
from core.domain import errors
from core.domain.limits import MAX_BOXES_PER_IMAGE
from core.services.context import Platform
from core.services.jobs.corrections import drafts_of_images, number_of_drafts
from core.services.jobs.images import codes_of_images, codes_with_images, findings_of_image, refuse_without_index
from core.services.views import prepared_set_of
from pipeline.dataset.model import SPLITS
from pipeline.index.read import (
    Selection,
    find_number,
    read_counted_page,
    read_facts,
    read_numbered,
    read_numbers,
    read_surroundings,
)
from pipeline.index.schema import IndexedImage

router = APIRouter(prefix="/ui/datasets", include_in_schema=False)

SUSPECT = "suspect"
SORTS = {
    "path": "Path, A to Z",
    "-path": "Path, Z to A",
    "-boxes": "Most boxes",
    "boxes": "Fewest boxes",
    "-size": "Largest",
    "size": "Smallest",
    "brightness": "Darkest",
    "-brightness": "Brightest",
    "-blur": "Most blurred",
    "blur": "Sharpest",
}
_LEGEND = 40  # classes
_NEAR_LISTED = 12
_ORIGINAL_SIDE = 2048  # px: larger images are first sent as a thumbnail of this size

Text = Annotated[str, Query(max_length=1000)]


class ImageQuery(NamedTuple):
    """What the list has, as its address says; empty: any."""

    class_name: str
    split: str
    finding: str
    suspect: bool
    sort: str
    tiles: str

    @property
    def parameters(self) -> dict[str, str]:
        """Those that differ from the list without any."""
        chosen = {
            "class": self.class_name,
            "split": self.split,
            "finding": self.finding,
            "suspect": "true" if self.suspect else "",
            "sort": "" if self.sort == "path" else self.sort,
            "tiles": "" if self.tiles == "m" else self.tiles,
        }
        return {name: value for name, value in chosen.items() if value}

    @property
    def filters(self) -> dict[str, str]:
        return {name: value for name, value in self.parameters.items() if name not in ("sort", "tiles")}


class _Images(NamedTuple):
    """The images that a list is of, and what is needed to read them."""

    job: JobRow
    dataset: DatasetRow
    file: Path
    suspects: SuspectLabels | None
    selection: Selection
    is_ranked: bool  # by how suspect they are


@router.get("/{job_id}/images")
def images(
    request: Request,
    platform: CurrentPlatform,
    job_id: str,
    class_name: Annotated[str, Query(alias="class", max_length=1000)] = "",
    split: Annotated[str, Query(max_length=80)] = "",
    finding: Annotated[str, Query(max_length=80)] = "",
    suspect: bool = False,
    sort: Annotated[str, Query(max_length=80)] = "path",
    tiles: Literal["s", "m", "l"] = "m",
    image: Text = "",
    cursor: Cursor = None,
) -> HTMLResponse:
    """All or those with a class, of a split, with a finding. `image`: one of them in full, by its path or sha256.

    Raises JobNotFound, Gone, JobNotReady, ImageIndexMissing, RequestInvalid, CursorInvalid, ImageNotFound.
    """
    query = ImageQuery(class_name, split, finding, suspect or sort == SUSPECT, sort, tiles)
    found = _images(request, platform, job_id, query)
    if image:
        return _full_view(request, platform, found, query, image)
    return _grid(request, platform, found, query, cursor)


@router.get("/{job_id}/near")
def near(request: Request, platform: CurrentPlatform, job_id: str, image: Text) -> HTMLResponse:
    """A part of the full view that reads the hashes of all images. Raises as `images` does."""
    from pipeline.index.near import find_near  # it loads numpy and Pillow, which no other page needs

    job, _, index = _indexed(request, platform, job_id)
    distances = {each.number: each.bits for each in find_near(index, _number(index, job, image), most=_NEAR_LISTED)}
    found = read_numbered(index, list(distances), boxes=0)
    others = [(found[number], bits) for number, bits in distances.items()]
    return render(request, "images/near.html", job_id=job_id, others=others, classes=job.classes or [])


def _grid(request: Request, platform: Platform, found: _Images, query: ImageQuery, cursor: str | None) -> HTMLResponse:
    job, size = found.job, PAGES[query.tiles]
    listed, next_cursor, count = _page(found, cursor, size)
    paths = [each.path for each in listed]
    codes = codes_of_images(platform.db, job.id, paths) if job.findings else {}
    drafts = drafts_of_images(platform.db, job.id, paths)
    classes = job.classes or []
    suspects = found.suspects.images if found.suspects else {}
    return render(
        request,
        "images/images.html",
        **dataset_frame(platform, job),
        query=query,
        base=f"/ui/datasets/{job.id}/images",
        tiles=[
            tile_of(
                job.id,
                classes,
                each,
                tiles=query.tiles,
                codes=codes.get(each.path, []),
                draft=drafts.get(each.path),
                suspect=suspects.get(each.path),
                query=query.parameters,
            )
            for each in listed
        ],
        count=count,
        is_first=cursor is None,
        next_cursor=next_cursor,
        drafts=number_of_drafts(platform.db, job.id),
        classes=classes,
        legend=_LEGEND,
        splits=SPLITS,
        codes=_codes(platform, job, query),
        sorts=SORTS | ({SUSPECT: "Most suspect"} if found.suspects else {}),
        suspects=found.suspects,
        url=lambda **changes: _address(job.id, query.parameters, changes),
    )


def _codes(platform: Platform, job: JobRow, query: ImageQuery) -> list[str]:
    """Of findings that images of the dataset have; the one that the address names is there in any case."""
    named = {query.finding} & (job.findings or {}).keys()
    return sorted(named.union(codes_with_images(platform.db, job)))


def _page(found: _Images, cursor: str | None, size: int) -> tuple[list[IndexedImage], str | None, int]:
    """The images of a page, the cursor of the next one, and how many there are in all."""
    if found.is_ranked and found.suspects:
        numbers = read_numbers(found.file, found.selection)
        ranked = [numbers[path] for path in found.suspects.images if path in numbers]
        start = max(0, number_of_cursor(cursor))
        images = read_numbered(found.file, ranked[start : start + size], boxes=BOXES_OUTLINED)
        listed = [images[number] for number in ranked[start : start + size]]
        end = start + size
        return listed, cursor_of_number(end) if end < len(ranked) else None, len(ranked)
    after = position_of(found.selection, cursor)
    page, count = read_counted_page(found.file, found.selection, after=after, limit=size, boxes=BOXES_OUTLINED)
    return page.images, cursor_of(found.selection, page.end), count


def _full_view(request: Request, platform: Platform, found: _Images, query: ImageQuery, name: str) -> HTMLResponse:
    job, index = found.job, found.file
    number = _number(index, job, name)
    image = read_numbered(index, [number], boxes=MAX_BOXES_PER_IMAGE)[number]
    draft = drafts_of_images(platform.db, job.id, [image.path]).get(image.path)
    classes = job.classes or []
    parameters = query.parameters
    before, after, rank, count = _neighbours(found, number)
    original = f"/dataset/images/{job.id}/{image.sha256}"
    is_large = max(image.width, image.height) > _ORIGINAL_SIDE
    return render(
        request,
        "images/full.html",
        **dataset_frame(platform, job),
        image=image,
        label=None if image.label is None else classes[image.label],
        labels=[classes[class_id] for class_id in sorted(image.class_ids)],
        data=json.dumps(_image_data(job, image), separators=(",", ":"), ensure_ascii=False),
        classes=classes,
        class_names=json.dumps(classes, separators=(",", ":"), ensure_ascii=False),
        draft=None if draft is None else correction_of(draft),
        draft_data="" if draft is None else json.dumps(draft.change, separators=(",", ":"), ensure_ascii=False),
        src=f"{original}?size={_ORIGINAL_SIDE}" if is_large else original,
        original=original,
        facts=read_facts(index, number),
        found=findings_of_image(platform.db, job.id, image.path) if job.findings else [],
        suspect=found.suspects.images.get(image.path) if found.suspects else None,
        suspects=found.suspects,
        rank=rank,
        count=count,
        filters=query.filters,
        previous=before and _address(job.id, parameters, {"image": before}),
        following=after and _address(job.id, parameters, {"image": after}),
        close=_address(job.id, parameters, {}),
        url=lambda **changes: _address(job.id, {}, changes),
    )


def _neighbours(found: _Images, number: int) -> tuple[str | None, str | None, int | None, int]:
    """The paths before and after it, its rank from 0, and how many there are."""
    if not found.is_ranked or not found.suspects:
        around = read_surroundings(found.file, found.selection, number)
        return around.previous, around.next, around.rank, around.total
    numbers = read_numbers(found.file, found.selection)
    ranked = [path for path in found.suspects.images if path in numbers]
    rank = next((at for at, path in enumerate(ranked) if numbers[path] == number), None)
    if rank is None:
        return None, ranked[0] if ranked else None, None, len(ranked)
    after = ranked[rank + 1] if rank + 1 < len(ranked) else None
    return ranked[rank - 1] if rank else None, after, rank, len(ranked)


def _image_data(job: JobRow, image: IndexedImage) -> dict[str, Any]:
    """For scripts. Edges are in thousandths of a pixel, as stored: what nobody moves stays the same."""
    return {
        "job": job.id,
        "kind": job.kind,
        "path": image.path,
        "width": image.width,
        "height": image.height,
        "label": image.label,
        "boxes": [[*box[:5], int(box.difficult)] for box in image.boxes],
    }


def _images(request: Request, platform: Platform, job_id: str, query: ImageQuery) -> _Images:
    job, dataset, index = _indexed(request, platform, job_id)
    is_ranked = query.sort == SUSPECT
    suspects = None
    try:
        suspects = suspects_of(platform, job)
    except errors.Unavailable:
        if query.suspect or is_ranked:  # the images themselves are listed without
            raise
    selection = selection_of(
        platform,
        job,
        class_name=query.class_name or None,
        split=query.split or None,
        finding=query.finding or None,
        sort="path" if is_ranked else query.sort or "path",
    )
    if query.suspect:
        flagged = set(suspects.images) if suspects else set()
        selection = selection._replace(
            paths=flagged if selection.paths is None else flagged.intersection(selection.paths)
        )
    return _Images(job, dataset, index, suspects, selection, is_ranked)


def _indexed(request: Request, platform: Platform, job_id: str) -> tuple[JobRow, DatasetRow, Path]:
    """Raises JobNotFound, Gone, JobNotReady, ImageIndexMissing."""
    job, dataset = prepared_set_of(platform.db, job_id)
    if dataset.index_key is None:
        refuse_without_index(platform, job, dataset)
    return job, dataset, request.app.state.image_indexes.path_of(dataset)


def _number(index: Path, job: JobRow, name: str) -> int:
    """Raises ImageNotFound."""
    number = find_number(index, name)
    if number is None:
        raise errors.ImageNotFound(f"The dataset has no image {name[:200]!r}.", job_id=job.id)
    return number


def _address(job_id: str, parameters: dict[str, str], changes: dict[str, str]) -> str:
    """Of the list or, with `image`, of one image. An empty value takes a parameter out."""
    merged = {name: value for name, value in {**parameters, **changes}.items() if value}
    base = f"/ui/datasets/{job_id}/images"
    return f"{base}?{urlencode(merged)}" if merged else base
