"""Errors of settings name the variable and never its value."""

import pytest

from auth.settings import Settings
from common.settings import load

GOOD = {
    "DB_URL": "postgresql+asyncpg://u:p@127.0.0.1/d",
    "BROKER_URL": "amqp://127.0.0.1/",
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "INTERNAL_TOKEN": "0123456789abcdef0123456789abcdef",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("ADMIN_USERNAME", "ADMIN_PASSWORD", "AUTH_USERNAME", "AUTH_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        load(Settings)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_missing_secret_key_is_named(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.delenv("SECRET_KEY")
    assert "SECRET_KEY is required" in refusal(capsys)


def test_short_secret_key_is_refused_with_instructions(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("SECRET_KEY", "changeme")
    said = refusal(capsys)
    assert "at least 32 characters" in said
    assert "token_urlsafe" in said
    assert "changeme" not in said


def test_short_admin_password_is_refused(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.setenv("ADMIN_PASSWORD", "hunter2")
    said = refusal(capsys)
    assert "ADMIN_PASSWORD" in said
    assert "hunter2" not in said


def test_old_names_of_the_first_admin_still_work(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUTH_USERNAME", "old")
    environment.setenv("AUTH_PASSWORD", "an old password")
    settings = load(Settings)
    assert settings.first_admin_username == "old"
    assert settings.first_admin_password is not None
    assert settings.first_admin_password.get_secret_value() == "an old password"
    assert settings.deprecated_in_use() == [("AUTH_USERNAME", "ADMIN_USERNAME"), ("AUTH_PASSWORD", "ADMIN_PASSWORD")]

    environment.setenv("ADMIN_USERNAME", "new")
    assert load(Settings).first_admin_username == "new"


def test_nothing_is_deprecated_by_default(environment: pytest.MonkeyPatch) -> None:
    settings = load(Settings)
    assert settings.deprecated_in_use() == []
    assert settings.first_admin_username == "admin"
    assert settings.first_admin_password is None


@pytest.mark.parametrize("name", ["\u3164", " ", "ad\u200bmin"])
def test_name_of_the_first_admin_must_be_readable(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    environment.setenv("ADMIN_USERNAME", name)
    assert "ADMIN_USERNAME is not valid: a user name must not" in refusal(capsys)
