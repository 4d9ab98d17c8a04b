"""Which hosts and which pages a request may come through.

A browser sends the requests of any page to a service on loopback. A page whose own name resolves to loopback (DNS
rebinding) is recognised by `Host`, a page of another site or port (CSRF) by `Origin` and `Sec-Fetch-Site`.
"""

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from core.domain.errors import RequestInvalid
from core.settings import Settings

ANY_HOST = "*"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OTHER_SITES = ("cross-site", "same-site")  # same-site: another port or subdomain, which is another service
OWN_SITE = (None, "same-origin", "none")  # values of Sec-Fetch-Site: programs, the service's pages, the address bar

_PORT = re.compile(r":[0-9]*$")


def host_names(settings: Settings) -> frozenset[str]:
    """The host names that requests may use; empty for any.

    Without a token the network is the only protection: then only the names of loopback, the configured host, the
    public URL and `allowed_hosts` are accepted. A page of another site does not know the token.
    """
    allowed = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
    if ANY_HOST in allowed or (settings.api_token.get_secret_value() and not allowed):
        return frozenset()
    own = {f"[{each}]" if ":" in each else each.lower() for each in (settings.api_host, settings.serving_host)}
    public = urlsplit(settings.public_url).hostname
    return frozenset({"localhost", "127.0.0.1", "[::1]", *own, *([public] if public else []), *allowed})


def check_host(headers: Headers, names: frozenset[str]) -> None:
    given = headers.getlist("host")
    if len(given) > 1:
        raise RequestInvalid("The request has more than one Host header.")
    host = _PORT.sub("", given[0] if given else "").lower()
    if names and host not in names:
        raise RequestInvalid(
            f"The host {host[:100]!r} is not a name of this service. Its operator can add it to DARKROOM_ALLOWED_HOSTS."
        )


def check_site(method: str, headers: Headers, *, public_url: str, by_cookie: bool = False) -> None:
    """A page of another origin may only read.

    `by_cookie`: a browser adds what authenticates the request by itself, whoever makes it: then it must name its page.
    """
    if method in SAFE_METHODS:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site in OTHER_SITES or (by_cookie and site not in (None, "same-origin")):
        raise RequestInvalid("A page of another site may only send GET and HEAD.")
    if origin is None and by_cookie:
        raise RequestInvalid("With a session, a request that changes something needs the header `Origin`.")
    if origin is not None and not _is_own(origin, host=headers.get("host", ""), public_url=public_url):
        raise RequestInvalid(
            f"A page of the origin {origin[:100]!r} may only send GET and HEAD. Behind a proxy that changes the Host "
            "header, the operator sets DARKROOM_PUBLIC_URL."
        )


def _is_own(origin: str, *, host: str, public_url: str) -> bool:
    """Whether the page is one of this service. `Origin: null` is that of a sandbox or a file, and never is."""
    scheme, _, name = origin.lower().partition("://")
    if scheme in ("http", "https") and name and name == host.lower():
        return True
    public = urlsplit(public_url.lower())
    return bool(public.netloc) and origin.lower() == f"{public.scheme}://{public.netloc}"
