"""Where a URL may lead: to hosts that the operator allows, and to no address inside unless its network is named too.

The name is resolved here, every address is checked, and the connection goes to the address that was checked: a name
that resolves otherwise a moment later (DNS rebinding) changes nothing. Each redirect is checked in the same way.
"""

import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx

MAX_ADDRESSES = 4  # of a name: the next one is tried where one does not accept the connection
REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}
# Beside what `ipaddress` knows, which differs between releases of Python.
_INSIDE = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",  # Azure's own service, as seen from a machine there
            "192.0.0.0/24",  # has the metadata of other clouds
            "192.88.99.0/24",  # relays of 6to4
            "64:ff9b::/96",  # NAT64
            "64:ff9b:1::/48",
        ),
    )
)
# What a named network opens only where it is one of these or lies in it: whoever names 100.64.0.0/10 or ::/0 means
# machines, and neither this one nor the service that hands out the credentials of a cloud.
_NAMED_ALONE = (
    *_INSIDE,
    *map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
            *("169.254.169.254/32", "169.254.170.2/32"),  # metadata, credentials of containers
            "100.100.100.200/32",  # the metadata of Alibaba's cloud, in the network of carriers
            *("::/96", "fe80::/10", "fec0::/10", "ff00::/8"),
            *("2001::/32", "2002::/16"),  # tunnels: Teredo, 6to4
            *("fd00:ec2::/32", "fd20:ce::/32"),  # the metadata of Amazon's and Google's
        ),
    ),
)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class UrlRefused(Exception):
    """The URL is malformed, or leads where nothing is fetched from. Its text is a sentence for people."""


class NameUnresolved(UrlRefused):
    """The name has no address now; it may have one later."""


@dataclass(frozen=True, slots=True)
class RemoteName:
    """The parts of a URL that may be fetched, by its form. `name`: ASCII, as in certificates."""

    parts: SplitResult
    name: str
    port: int

    @property
    def host(self) -> str:
        """The value of the header."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == _PORTS[self.parts.scheme] else f"{name}:{self.port}"

    @property
    def for_operator(self) -> str:
        """What the operator would have to allow."""
        return self.name[:100] if self.port in _PORTS.values() else f"{self.name[:100]}:{self.port}"

    def is_allowed(self, hosts: frozenset[str]) -> bool:
        """`hosts`: names that are allowed, on ports 80 and 443, or `name:port`; `*` for any of the public network."""
        usual = self.port in _PORTS.values()
        return self.is_named(hosts) or (usual and "*" in hosts)

    def is_named(self, hosts: frozenset[str]) -> bool:
        """Whether it is allowed by its name, not by `*`."""
        usual = self.port in _PORTS.values()
        return f"{self.name}:{self.port}" in hosts or (usual and self.name in hosts)


def remote_name(url: str) -> RemoteName:
    """Raises UrlRefused unless it is an http or https URL without a user name. Resolves nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
        name = _ascii(parts.hostname or "")
    except ValueError as error:
        raise UrlRefused("The URL is malformed.") from error
    if parts.scheme not in _PORTS or not name or "@" in parts.netloc:
        raise UrlRefused("Only http:// and https:// URLs without a user name are fetched.")
    return RemoteName(parts, name, port)


def allowed_addresses(remote: RemoteName, networks: Sequence[Network] = ()) -> tuple[str, ...]:
    """At most MAX_ADDRESSES, each public or in one of the private `networks` that the operator names for this host.

    Waits for the resolver. Raises UrlRefused, NameUnresolved.
    """
    try:
        addresses = resolved(remote.name, remote.port)
    except (OSError, UnicodeError) as error:
        raise NameUnresolved(f"The name {remote.name[:100]} cannot be resolved.") from error
    if not addresses or not all(is_public(each) or is_in(each, networks) for each in addresses):
        raise UrlRefused(
            f"{remote.name[:100]} is an address inside, from which nothing is fetched unless the operator names "
            "the host, and its network in DARKROOM_PRIVATE_NETWORKS."
        )
    return addresses[:MAX_ADDRESSES]


def request_at(address: str, remote: RemoteName, headers: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of a GET that goes to this address, in the name of the host."""
    host = f"[{address}]" if ":" in address else address
    return {
        "method": "GET",
        "url": remote.parts._replace(netloc=f"{host}:{remote.port}").geturl(),
        "headers": {"host": remote.host, "accept-encoding": "identity", **headers},
        "extensions": {"sni_hostname": remote.name},
    }


def leaves_tls(url: str, following: str) -> bool:
    """Whether a redirect from `url` leads from HTTPS to another scheme."""
    return url.lower().startswith("https:") and not following.lower().startswith("https:")


def is_public(address: str) -> bool:
    """Neither private, loopback, of a link or a site, multicast, reserved, nor one that leads to IPv4 by a tunnel."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return is_public(str(parsed.ipv4_mapped))
        if parsed.sixtofour or parsed.teredo or parsed.is_site_local:
            return False
    if any(parsed.version == network.version and parsed in network for network in _INSIDE):
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def is_written_inside(name: str) -> bool:
    """Whether a host is an address inside by what is written, before it is resolved."""
    try:
        return name == "localhost" or not is_public(name)
    except ValueError:
        return False


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Whether a network is named that holds it; loopback, a link, metadata of a cloud: one of no other addresses."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    guards = [each for each in _NAMED_ALONE if parsed in each]
    return any(parsed in each and all(_lies_in(each, guard) for guard in guards) for each in networks)


def _lies_in(network: Network, other: Network) -> bool:
    if isinstance(network, ipaddress.IPv4Network):
        return isinstance(other, ipaddress.IPv4Network) and network.subnet_of(other)
    return isinstance(other, ipaddress.IPv6Network) and network.subnet_of(other)


def resolved(name: str, port: int) -> tuple[str, ...]:
    """Every address of the name. Raises OSError, UnicodeError."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


@lru_cache(maxsize=1)
def certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)  # 20 ms, once


def _ascii(name: str) -> str:
    return name.lower() if name.isascii() else name.encode("idna").decode()
