"""Which service is asked, and with which token."""

from pathlib import Path

import pytest

from darkroom import Client
from darkroom.login import Login, login_path, read_login, resolve_login, write_login


@pytest.fixture(autouse=True)
def _own_login_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_the_token_of_the_login_file_goes_only_to_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    write_login(Login("https://one.example/", "secret"))
    assert login_path().stat().st_mode & 0o777 == 0o600
    assert resolve_login() == Login("https://one.example", "secret") == read_login()
    assert resolve_login("https://two.example").token == ""
    monkeypatch.setenv("DARKROOM_URL", "https://three.example")
    assert resolve_login() == Login("https://three.example", "")
    assert "secret" not in repr(read_login())


@pytest.mark.parametrize("token", ["sec\nret", "sec\x00ret", "geheim\u00e4"])
def test_a_token_that_no_header_takes_is_refused_without_being_printed(token: str) -> None:
    with pytest.raises(ValueError, match="token") as raised:
        Client("http://service", token=token)
    assert token[:3] not in str(raised.value)


def test_the_end_of_the_line_of_a_token_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_API_TOKEN", "secret\n")
    assert resolve_login("http://service").token == "secret"


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://service:port", "http://me:hidden@service", "service"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address") as raised:
        Client(url)
    assert "hidden" not in str(raised.value)
