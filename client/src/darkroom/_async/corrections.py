"""Corrections of single images of a dataset: drafts, and the next dataset that is made of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from darkroom._async import work
from darkroom._async.transport import AsyncTransport, new_key
from darkroom.names import job_id_of, path_of
from darkroom.schemas import Correction, Dataset, DiscardedCorrections, SavedCorrections
from darkroom.states import DATASET_ENDED, READY

MOST = 1000  # of one request


class AsyncCorrections:
    """A correction has `image`, the path of one, and one of `boxes`, `label`, `remove` and `accept`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def add(
        self,
        dataset: Dataset | str,
        corrections: Sequence[Mapping[str, Any]],
        *,
        author: str = "",
        new_classes: bool = False,
    ) -> SavedCorrections:
        """Keeps them as drafts; of one image the last one counts. They are sent in parts of 1,000.

        A box is `{"class": "raccoon", "x1": 8, "y1": 10, "x2": 24, "y2": 16}` in pixels of the upright image; `boxes`
        are all that the image is to have. Where one does not fit the dataset, none of its part is kept.
        """
        saved = unchanged = 0
        for at in range(0, max(1, len(corrections)), MOST):
            part = [dict(each) for each in corrections[at : at + MOST]]
            body = {"corrections": part, "author": author, "new_classes": new_classes}
            found = await self._transport.write(SavedCorrections, "POST", _path(dataset), body)
            saved, unchanged = saved + found.saved, unchanged + found.unchanged
        return SavedCorrections(found.job_id, saved, unchanged, found.drafts, found.links)

    def list(
        self, dataset: Dataset | str, *, state: str | None = None, image: str | None = None
    ) -> AsyncIterator[Correction]:
        """`state`: `draft` or `applied`."""
        return self._transport.pages(Correction, _path(dataset), {"state": state, "image": image})

    async def discard(self, dataset: Dataset | str, correction: Correction | str | None = None) -> None:
        """A draft, or without `correction` all of them."""
        if correction is None:
            await self._transport.write(DiscardedCorrections, "DELETE", _path(dataset))
            return
        correction_id = correction.correction_id if isinstance(correction, Correction) else correction
        path = path_of("/datasets/{}/corrections/{}", job_id_of(dataset), correction_id)
        await self._transport.send("DELETE", path)

    async def apply(self, dataset: Dataset | str, *, name: str | None = None, wait: bool = True) -> Dataset:
        """Makes the next dataset of all drafts. With `wait`, returns when it is ready."""
        accepted = await self._transport.json(
            "POST", f"{_path(dataset)}/apply", body=work.without_none(name=name) or None, headers=new_key()
        )
        path = path_of("/jobs/{}", accepted["job_id"])
        if not wait:
            return await self._transport.read(Dataset, path)
        found = await work.wait_until_ended(self._transport, Dataset, path, ended=DATASET_ENDED, timeout=None)
        return work.succeeded(found, name=found.dataset, state=READY)


def _path(dataset: Dataset | str) -> str:
    return path_of("/datasets/{}/corrections", job_id_of(dataset))
