"""Where a request goes that names a project by a slug of before a renaming."""

from urllib.parse import parse_qsl, quote, urlencode

from fastapi import Request

_IN_PATH = ("{ref}", "{project}")
_IN_QUERY = ("project",)


def location_of_renamed(request: Request, old: str, new: str) -> str | None:
    """The same path and query with the new name. None: the name is in neither, but in the body."""
    path: str = request.scope["raw_path"].decode("ascii")
    query: str = request.scope["query_string"].decode("latin-1")
    places = request.scope["route"].path.split("/")
    parts = request.scope["path"].split("/")  # decoded, as it was matched: an encoded slash separates too
    if found := [place for place, name in enumerate(places) if name in _IN_PATH and parts[place] == old]:
        parts[found[0]] = new
        path = "/".join(quote(part, safe="") for part in parts)
    else:
        given = parse_qsl(query, keep_blank_values=True)
        renamed = [(name, new if name in _IN_QUERY and value == old else value) for name, value in given]
        if renamed == given:
            return None
        query = urlencode(renamed)
    return f"{path}?{query}" if query else path
