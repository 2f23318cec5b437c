"""The gateway's settings."""

import pytest

from common.settings import load
from gateway.settings import Settings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("JWKS_URL", "CORS_ORIGINS", "TRUSTED_PROXIES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "BROKER_URL": "amqp://127.0.0.1/",
        "INTERNAL_TOKEN": "what the gateway shows in these tests",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AUTH_URL": "http://auth:8000/",
        "JOBS_URL": "http://jobs:8000",
        "METADATA_URL": "http://metadata:8000",
        "CLEANUP_URL": "http://cleanup:8000",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_jwks_url_defaults_to_the_auth_service(environment: pytest.MonkeyPatch) -> None:
    assert load(Settings).jwks_url == "http://auth:8000/.well-known/jwks.json"
    environment.setenv("JWKS_URL", "http://elsewhere/keys")
    assert load(Settings).jwks_url == "http://elsewhere/keys"


def test_no_proxy_and_no_origin_is_trusted_by_default(environment: pytest.MonkeyPatch) -> None:
    settings = load(Settings)
    assert settings.allowed_origins == []
    assert settings.proxies == []


def test_invalid_origins_are_refused(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.setenv("CORS_ORIGINS", "https://a.example, http://localhost:5173")
    assert load(Settings).allowed_origins == ["https://a.example", "http://localhost:5173"]
    environment.setenv("CORS_ORIGINS", "a.example/path")
    with pytest.raises(SystemExit):
        load(Settings)
    assert "is not an origin" in capsys.readouterr().err


def test_default_language_is_auto_or_a_code(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv("WHISPER_LANGUAGE", raising=False)
    assert load(Settings).whisper_language == "auto"
    environment.setenv("WHISPER_LANGUAGE", "DE")
    assert load(Settings).whisper_language == "de"
    environment.setenv("WHISPER_LANGUAGE", "German, please")
    with pytest.raises(SystemExit):
        load(Settings)
    assert "WHISPER_LANGUAGE is not valid: use an ISO 639 code such as en" in capsys.readouterr().err
