"""Images by URL come from allowed hosts of the public network alone."""

import asyncio

import pytest
from pydantic import ValidationError

from core.domain.errors import ImageUrlRefused
from core.settings import Settings
from http_common.remote_address import is_in, is_public
from http_common.remote_images import fetch_image, urls_refused


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address that is refused
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("fec0::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2002:5db8:d822::", False),
        ("64:ff9b:1::7f00:1", False),
        ("::7f00:1", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("ff02::1", False),
    ],
)
def test_an_address_is_public_or_inside(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("address", "networks", "opened"),
    [
        ("10.1.2.3", "", False),
        ("10.1.2.3", "10.1.0.0/16", True),
        ("10.2.2.3", "10.1.0.0/16", False),
        ("::ffff:10.1.2.3", "10.1.0.0/16", True),
        ("192.168.1.7", "192.168.1.7", True),
        ("fd12:3456::9", "10.0.0.0/8,fd12:3456::/32", True),
        ("127.0.0.1", "0.0.0.0/0", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::/0", False),
        ("::ffff:127.0.0.1", "::/0,0.0.0.0/0", False),
        ("169.254.169.254", "0.0.0.0/0", False),
        ("169.254.169.254", "169.254.0.0/16", False),
        ("fe80::1%eth0", "::/0", False),
        ("100.100.100.200", "100.64.0.0/10", False),
        ("100.64.0.1", "100.64.0.0/10", True),
        ("fd00:ec2::254", "fd00::/8", False),
        ("2002:7f00:1::", "::/0", False),
        ("0.0.0.0", "0.0.0.0/0", False),  # noqa: S104 - an address that is refused
    ],
)
def test_a_network_inside_is_opened_by_its_name_and_a_wide_one_not_to_this_machine_or_metadata(
    address: str, networks: str, opened: bool
) -> None:
    named = Settings(private_networks=networks).named_networks
    assert is_in(address, named) is opened


def test_a_network_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(ValidationError, match=r"10\.1\.2\.3/16 has host bits set"):
        Settings(private_networks="10.1.2.3/16")


@pytest.mark.parametrize(
    ("url", "hosts", "reason"),
    [
        ("http://example.org/a.jpg", "", "not fetched from example.org"),
        ("file:///etc/passwd", "*", "Only http"),
        ("http://user:secret@example.org/", "*", "Only http"),
        ("http://[::1/", "*", "malformed"),
    ],
)
def test_other_urls_are_refused_before_a_connection(url: str, hosts: str, reason: str) -> None:
    allowed = frozenset(filter(None, hosts.split(",")))
    with pytest.raises(ImageUrlRefused, match=reason):
        asyncio.run(fetch_image(url, hosts=allowed, max_bytes=1000, seconds=2))


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("https://example.org/a.jpg", "the operator can add example.org to DARKROOM_IMAGE_HOSTS."),
        ("http://127.0.0.1:9000/a.jpg", "127.0.0.1:9000 to DARKROOM_IMAGE_HOSTS and its network to DARKROOM_PRIVATE_"),
        (
            "http://localhost/a.jpg",
            "add localhost to DARKROOM_IMAGE_HOSTS and its network to DARKROOM_PRIVATE_NETWORKS",
        ),
        ("http://[fd00::1]/a.jpg", "add fd00::1 to DARKROOM_IMAGE_HOSTS and its network to DARKROOM_"),
        ("ftp://example.org/a.jpg", "Only http:// and https:// URLs"),
    ],
)
def test_who_may_not_fetch_a_url_reads_which_settings_allow_it(url: str, advice: str) -> None:
    refused = urls_refused(url).detail
    with pytest.raises(ImageUrlRefused) as of_other_hosts:
        asyncio.run(fetch_image(url, hosts=frozenset({"other.example"}), max_bytes=1000, seconds=2))
    for detail in (refused, of_other_hosts.value.detail):
        assert advice in detail and "end the image itself" in detail
