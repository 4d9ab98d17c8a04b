"""Variables that are no setting are named, with the setting that may have been meant."""

from pathlib import Path

import pytest
import structlog
from pydantic import ValidationError

from core.domain.import_places import bucket_prefix
from core.logging import configure_logging
from core.settings import Settings, unknown_settings


def test_a_misspelt_setting_is_named_with_a_similar_one() -> None:
    environment = ["DARKROOM_API_PROT", "DARKROOM_API_PORT", "darkroom_home", "HOME", "DARKROOM_NONSENSE"]
    assert unknown_settings(environment) == {"DARKROOM_API_PROT": "DARKROOM_API_PORT", "DARKROOM_NONSENSE": None}


def test_variables_of_the_launcher_the_client_and_the_tests_are_known() -> None:
    assert unknown_settings(["DARKROOM_STACK_PID", "DARKROOM_URL", "DARKROOM_TEST_DATA"]) == {}


def test_the_env_file_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("POSTGRES_PASSWORD=x\nDARKROOM_LEASE_SECOND=3\n")
    monkeypatch.setitem(Settings.model_config, "env_file", str(file))
    assert unknown_settings([]) == {"DARKROOM_LEASE_SECOND": "DARKROOM_LEASE_SECONDS"}


@pytest.mark.parametrize("before, after", [("BEAT_SECONDS", "HEARTBEAT_SECONDS"), ("ORPHANS_HOURS", "ORPHAN_HOURS")])
def test_a_setting_by_a_former_name_leads_to_its_name(before: str, after: str) -> None:
    assert unknown_settings([f"DARKROOM_{before}"]) == {f"DARKROOM_{before}": f"DARKROOM_{after}"}


def test_a_process_warns_once_at_its_start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DARKROOM_API_PROT", "1")
    try:
        configure_logging(Settings())
        warned = capsys.readouterr().err
    finally:
        structlog.reset_defaults()
    assert warned.count("setting.unknown") == 1
    assert "did_you_mean=DARKROOM_API_PORT" in warned and "DARKROOM_HOME" not in warned


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hub_token", "hf_secret and more"),
        ("hub_token", "hf_sëcret"),
        ("import_buckets", "s3://sets, sets/raccoons"),
        ("import_folders", "sets"),
        ("import_folders", "/srv/sets/../.."),
    ],
)
def test_a_setting_about_imports_is_checked_at_the_start_and_a_token_never_printed(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name: value})
    assert name in str(refused.value) and "hf_s" not in str(refused.value)


def test_a_token_with_the_line_end_of_its_file_is_stripped() -> None:
    settings = Settings.model_validate({"hub_token": "hf_secret\n"})
    assert settings.hub_token.get_secret_value() == "hf_secret" and "hf_secret" not in repr(settings)


def test_its_own_folders_are_not_imported_by_another_name_either(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    link = tmp_path / "link"
    store, database = (link / "objects").as_uri(), f"sqlite:///{link}/rows.db"
    settings = Settings(home=link / "home", store_url=store, database_url=database)
    named = {tmp_path / place / own for place in ("link", "disk") for own in ("home", "objects", "rows.db")}
    assert named <= settings.own_folders


def test_a_prefix_of_a_bucket_leads_nowhere_else() -> None:
    """Some stores resolve `..` in keys."""
    assert str(bucket_prefix("s3://datasets/a..b/.c")) == "s3://datasets/a..b/.c"
    for url in ("s3://datasets/mine/../others", "s3://datasets/..", "s3://datasets/mine/./x"):
        with pytest.raises(ValueError, match=r"`\.\.`"):
            bucket_prefix(url)
