"""LitServe: `python -m benchmarks.peers.lit`. The body of a request is the JPEG, which spares it the form."""

import os
from typing import Annotated, Any

import litserve
from fastapi import Depends, Request

from benchmarks.peers.paths import from_environment

BATCH = int(os.environ["PEER_BATCH"])


async def _body(request: Request) -> bytes:
    return await request.body()


class Api(litserve.LitAPI):  # type: ignore[misc] # without types, for it is in the peers' venv alone
    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe passes it
        self._predict = from_environment()

    def decode_request(self, request: Annotated[bytes, Depends(_body)]) -> bytes:
        return request

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, x: Any) -> Any:
        return self._predict(x) if BATCH > 1 else self._predict([x])[0]

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"boxes": output}


if __name__ == "__main__":
    server = litserve.LitServer(
        Api(max_batch_size=BATCH, batch_timeout=0.002 if BATCH > 1 else 0.0),
        accelerator="cpu",
        workers_per_device=int(os.environ["PEER_WORKERS"]),
        fast_queue=os.environ["PEER_FAST_QUEUE"] == "1",
        track_requests=False,
        timeout=60,
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PEER_PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )
