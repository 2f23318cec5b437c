"""Variables of the former system: who says what about them, and when nobody says anything."""

import pytest
from structlog.testing import capture_logs

from common import removed_settings


def warned(service: str) -> dict[str, str]:
    with capture_logs() as records:
        removed_settings.warn(service)
    return {record["variable"]: record["instead"] for record in records}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in removed_settings.REMOVED_SETTINGS:
        monkeypatch.delenv(each.variable, raising=False)


def test_a_retired_variable_is_named_with_what_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://user:swordfish@old/")
    assert warned("jobs") == {"CELERY_BROKER_URL": "Set BROKER_URL, for every service."}


def test_the_value_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://user:swordfish@old/")
    with capture_logs() as records:
        removed_settings.warn("jobs")
    assert "swordfish" not in str(records)


def test_only_the_service_whose_business_it_was_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in removed_settings.REMOVED_SETTINGS:
        monkeypatch.setenv(each.variable, "something")
    speakers = {each.variable: each.service for each in removed_settings.REMOVED_SETTINGS}
    said = {variable: service for service in ("gateway", "jobs", "transcriber") for variable in warned(service)}
    assert said == speakers
    assert not warned("auth")


def test_a_value_that_asks_for_what_happens_anyway_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_BACKEND", "S3")
    monkeypatch.setenv("LOCAL_STORAGE_DIR", "")
    assert not warned("gateway")
    monkeypatch.setenv("STORAGE_BACKEND", "local")
    assert list(warned("gateway")) == ["STORAGE_BACKEND"]
