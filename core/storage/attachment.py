"""The Content-Disposition of a download, safe for any file name."""

from urllib.parse import quote


def attachment(file_name: str) -> str:
    """A header value: plain ASCII for old clients, the true name (RFC 6266 and 5987) for all others.

    Quotes, backslashes, control characters and path separators cannot leave the quoted string or name a folder.
    """
    name = "".join("_" if char in "/\\" or not char.isprintable() else char for char in file_name) or "download"
    plain = "".join(char if char.isascii() and char not in '"%;' else "_" for char in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
