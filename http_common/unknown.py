"""Names that a request sends and nothing reads: refused, with the name that was probably meant."""

from collections.abc import Iterable

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from pydantic.fields import FieldInfo

from core.domain.errors import RequestInvalid
from core.domain.field_errors import unknown_name

_LISTED = 10


async def refuse_unknown_parameters(request: Request) -> None:
    """A dependency of every route. Raises RequestInvalid, before the route does anything."""
    if not request.query_params:
        return
    known = query_parameters(request.scope["route"])
    if unknown := [name for name in request.query_params if name not in known]:
        raise unknown_names("query parameter", unknown, known)


def query_parameters(route: APIRoute) -> list[str]:
    """Those of its signature and its dependencies, and those that it reads itself and documents."""
    declared = [field for field in get_flat_params(route.dependant) if _is_of_query(field.field_info)]
    documented = (route.openapi_extra or {}).get("parameters", ())
    return [field.alias for field in declared] + [each["name"] for each in documented if each["in"] == "query"]


def _is_of_query(declared: FieldInfo) -> bool:
    """The fields of a model of the query are no `params.Param`; paths and headers have no models here."""
    return isinstance(declared, params.Query) or not isinstance(declared, params.Param)


def unknown_names(kind: str, unknown: Iterable[str], known: Iterable[str]) -> RequestInvalid:
    """`kind`: `query parameter`, ..."""
    errors = [{"field": name[:80], "message": unknown_name(kind, name, known)} for name in [*unknown][:_LISTED]]
    return RequestInvalid(" ".join(f"{each['field']!r}: {each['message']}" for each in errors), errors=errors)
