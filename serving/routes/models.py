"""The models in memory."""

from dataclasses import asdict

import numpy as np
from fastapi import APIRouter

from http_common.prediction_schemas import ModelInMemory, ModelsInMemory, NameInUse
from serving.models.loading import LoadedModel
from serving.state import CurrentServing, Serving

router = APIRouter(tags=["models"])


@router.get("/models", summary="List the models in memory")
async def list_models(serving: CurrentServing) -> ModelsInMemory:
    """What is loaded, for which names, how fast it answers, and which engine was taken and why."""
    items = [_item(serving, model) for model in serving.models.all()]
    limit = serving.platform.settings.serving_memory_bytes
    names = [
        NameInUse(name=name, version=known.served.name, problem=known.problem)
        for name, known in serving.models.names().items()
    ]
    return ModelsInMemory(items=items, names=names, bytes=sum(item.bytes for item in items), max_bytes=limit)


def _item(serving: Serving, model: LoadedModel) -> ModelInMemory:
    p50, p95 = np.quantile(model.latencies, (0.5, 0.95)).round(3).tolist() if model.latencies else (None, None)
    return ModelInMemory(
        name=model.served.name,
        names=serving.models.names_of(model),
        version_id=model.served.version_id,
        export_id=model.served.export_id,
        sha256=model.served.sha256,
        engine=model.shared.engine,
        precision=model.shared.precision,
        bytes=model.bytes,
        requests=model.requests,
        failed=model.failed,
        p50_ms=p50,
        p95_ms=p95,
        load_seconds=round(model.load_seconds, 3),
        choice=asdict(model.choice),
    )
