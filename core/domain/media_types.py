"""The media types of artifacts, by the suffix of their names."""

_BY_SUFFIX = {
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".csv": "text/csv; charset=utf-8",
    ".yaml": "application/yaml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".html": "text/html; charset=utf-8",  # sent as a download, under a policy that lets it run nothing
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".zip": "application/zip",
    ".txt": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
}
OTHER = "application/octet-stream"
ARTIFACT_TYPES = (OTHER, *sorted({each.partition(";")[0] for each in _BY_SUFFIX.values()}))


def media_type_of(suffix: str) -> str:
    return _BY_SUFFIX.get(suffix, OTHER)
