"""The dataset formats that an upload may have."""

from fastapi import APIRouter

from api.schemas.formats import Formats, all_formats
from http_common.openapi import problem_responses
from pipeline.params import catalogue

router = APIRouter(tags=["datasets"])


@router.get("/formats", summary="List the dataset formats", responses=problem_responses())
def list_formats() -> Formats:
    """Each with an example tree. Of an archive with several formats the most complete one is read."""
    return all_formats(frozenset(entry.kind for entry in catalogue.CATALOGUE.values()))
