"""BentoML: `bentoml serve benchmarks.peers.bento:Predictions`. The body of a request is the JPEG.

An endpoint that batches takes lists only, so that a second service stands before it, as BentoML's manual has it.
"""

import os
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType

from benchmarks.peers.paths import from_environment

BATCH = int(os.environ["PEER_BATCH"])
COMPUTING: dict[str, Any] = {
    "workers": int(os.environ["PEER_WORKERS"]),
    "threads": int(os.environ["PEER_AT_ONCE"]),
    "traffic": {"timeout": 60},
    "logging": {"access": {"enabled": False}},
    "metrics": {"enabled": False},
}
Jpeg = Annotated[bytes, ContentType("image/jpeg")]

if BATCH > 1:

    @bentoml.service(**COMPUTING)
    class Computing:
        def __init__(self) -> None:
            self._predict = from_environment()

        @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=60_000)
        def predict(self, images: list[bytes]) -> list[dict[str, Any]]:
            return [{"boxes": each} for each in self._predict(images)]

    @bentoml.service(**(COMPUTING | {"workers": 1}))
    class Predictions:
        computing = bentoml.depends(Computing)

        @bentoml.api(route="/predict")
        async def predict(self, image: Jpeg, /) -> dict[str, Any]:
            (found,) = await self.computing.to_async.predict([image])
            return dict(found)

else:

    @bentoml.service(**COMPUTING)
    class Predictions:  # type: ignore[no-redef] # either one, by PEER_BATCH
        def __init__(self) -> None:
            self._predict = from_environment()

        @bentoml.api(route="/predict")
        def predict(self, image: Jpeg, /) -> dict[str, Any]:
            return {"boxes": self._predict([image])[0]}
