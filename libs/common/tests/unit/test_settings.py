"""Settings: read from plain variables, explained when wrong, shown without secrets."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from common import settings


class Settings(settings.ServiceSettings, settings.DatabaseSettings, settings.StorageSettings):
    """What a service with a database and the object store has."""

    secret_key: SecretStr = Field(min_length=16, examples=["an example of a secret"])
    models: tuple[str, ...] = ()


REQUIRED = {
    "DB_URL": "postgresql+asyncpg://jobs:pass%40word@db:5432/verbatim",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "hidden one",
    "SECRET_KEY": "hidden two, and long enough",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_parts_are_read_from_variables_without_prefix(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PORT", "8123")
    environment.setenv("LOG_DIR", "/var/log/verbatim")
    environment.setenv("LOG_LEVEL", "debug")
    loaded = settings.load(Settings)
    assert loaded.port == 8123
    assert loaded.log_dir == Path("/var/log/verbatim")
    assert loaded.log_level == "DEBUG"
    assert loaded.db_url == REQUIRED["DB_URL"]
    assert loaded.aws_secret_access_key.get_secret_value() == "hidden one"
    assert loaded.s3_bucket == "verbatim"


def test_an_empty_variable_counts_as_not_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PORT", "")
    environment.setenv("LOG_DIR", "")
    assert settings.load(Settings).port == 8000
    assert settings.load(Settings).log_dir is None


def test_each_wrong_variable_gets_one_sentence_and_the_process_exits_with_2(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv("DB_URL")
    environment.setenv("PORT", "seventy")
    environment.setenv("LOG_LEVEL", "LOUD")
    environment.setenv("SECRET_KEY", "too short")
    with pytest.raises(SystemExit) as exited:
        settings.load(Settings)
    assert exited.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert "  DB_URL is required and not set." in lines
    assert any(line.startswith("  PORT is not valid: ") for line in lines)
    assert "  LOG_LEVEL is not valid: use one of DEBUG, INFO, WARNING, ERROR, CRITICAL." in lines
    assert any(line.startswith("  SECRET_KEY is not valid: ") for line in lines)


def test_the_explanation_never_repeats_a_value(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("SECRET_KEY", "hush")
    with pytest.raises(SystemExit):
        settings.load(Settings)
    assert "hush" not in capsys.readouterr().err


def test_a_variable_that_should_hold_json_is_explained_too(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("MODELS", "base, small")
    with pytest.raises(SystemExit) as exited:
        settings.load(Settings)
    assert exited.value.code == 2
    assert "models" in capsys.readouterr().err


def test_the_description_masks_secrets_and_passwords_in_urls(environment: pytest.MonkeyPatch) -> None:
    text = "\n".join(settings.describe(settings.load(Settings)))
    assert "DB_URL=postgresql+asyncpg://jobs:**********@db:5432/verbatim" in text
    assert "AWS_SECRET_ACCESS_KEY=**********" in text
    assert "AWS_ACCESS_KEY_ID=key" in text
    assert "LOG_DIR=\n" in text
    for secret in ("hidden one", "hidden two", "pass%40word"):
        assert secret not in text


def test_a_secret_in_a_plain_field_is_masked_by_its_name() -> None:
    class Careless(settings.ServiceSettings):
        admin_password: str = "letmein"

    assert "ADMIN_PASSWORD=**********" in list(settings.describe(Careless()))


def test_examples_stand_in_for_required_variables_that_are_not_set(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("SECRET_KEY")
    environment.delenv("AWS_ACCESS_KEY_ID")
    example = settings.example(Settings)
    assert example.secret_key.get_secret_value() == "an example of a secret"
    assert example.db_url == REQUIRED["DB_URL"]


def test_a_required_variable_without_an_example_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    class Secretive(settings.ServiceSettings):
        unexplained_thing: str

    with pytest.raises(SystemExit):
        settings.example(Secretive)
    assert "UNEXPLAINED_THING is required and not set." in capsys.readouterr().err


def test_settings_cannot_be_changed_after_they_were_read(environment: pytest.MonkeyPatch) -> None:
    loaded = settings.load(Settings)
    with pytest.raises(ValueError, match="frozen"):
        setattr(loaded, "port", 1)  # noqa: B010 - mypy knows that the plain assignment is wrong


@pytest.mark.parametrize(
    "given",
    ["postgresql+asyncpg://a:b@db/v", "postgresql://a:b@db/v", "postgres://a:b@db/v", "postgresql+psycopg2://a:b@db/v"],
)
def test_every_form_of_a_postgresql_address_is_understood(environment: pytest.MonkeyPatch, given: str) -> None:
    environment.setenv("DB_URL", given)
    assert settings.load(Settings).db_url == "postgresql+asyncpg://a:b@db/v"


@pytest.mark.parametrize("given", ["sqlite:///whisper.db", "mysql://a:b@db/v", "somewhere"])
def test_another_kind_of_database_is_refused_with_the_form_wanted(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    environment.setenv("DB_URL", given)
    with pytest.raises(SystemExit):
        settings.load(Settings)
    assert "DB_URL is not valid: it must name a PostgreSQL database: postgresql+asyncpg://" in capsys.readouterr().err


def test_a_broker_that_is_none_is_refused_by_name(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("BROKER_URL", "redis://cache/0")
    with pytest.raises(SystemExit):
        settings.load(settings.BrokerSettings)
    assert "BROKER_URL is not valid: it must name a RabbitMQ server" in capsys.readouterr().err


def test_former_names_of_log_formats_are_understood(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LOG_FORMAT", "plain")
    assert settings.load(Settings).log_format == "console"


@pytest.mark.parametrize("zone", ["Nowhere/Town", "Europe", "../etc/passwd"])
def test_a_time_zone_nobody_knows_is_refused_by_name(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], zone: str
) -> None:
    environment.setenv("TIMEZONE", zone)
    with pytest.raises(SystemExit):
        settings.load(Settings)
    assert "TIMEZONE is not valid: use an IANA time zone name such as Europe/Berlin." in capsys.readouterr().err
