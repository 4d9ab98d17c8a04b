"""What an upload may look like."""

from fastapi import APIRouter

from api.http.openapi import problems
from api.schemas.formats import Formats, all_formats
from pipeline.params import catalogue

router = APIRouter(tags=["datasets"])


@router.get("/formats", summary="Read which dataset formats are recognised", responses=problems())
def list_formats() -> Formats:
    """Each with an example tree. The most complete one is read where an archive has several."""
    return all_formats(frozenset(entry.kind for entry in catalogue.CATALOGUE.values()))
