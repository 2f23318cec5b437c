"""The fleet table: the right rows, wired to each other and to nothing else."""

import os
from pathlib import Path

import pytest

from native import fleet, programs
from native.programs import Program, RunAs
from native.settings import NativeSettings
from native.state import StateFolder
from native.supervisor import Supervisor


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NativeSettings:
    monkeypatch.setenv("MAX_CONCURRENT_JOBS", "7")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-costs-money")
    monkeypatch.setenv("DB_URL", "postgresql+asyncpg://somebody:else@db.example/theirs")
    return NativeSettings(state_dir=tmp_path / "state", transcribers=2, web_dir=tmp_path / "no-page")


@pytest.fixture
def rows(settings: NativeSettings) -> dict[str, Program]:
    return {row.name: row for row in fleet.table(StateFolder(settings.state_dir), settings)}


def test_every_part_of_the_platform_has_a_row(rows: dict[str, Program], settings: NativeSettings) -> None:
    services = {"auth", "jobs", "metadata", "cleanup", "gateway", "transcriber-1", "transcriber-2"}
    migrations = {"migrate-auth", "migrate-jobs", "migrate-metadata", "migrate-cleanup"}
    assert set(rows) == {"postgres", "rabbitmq", "epmd", "seaweedfs"} | migrations | services
    Supervisor(
        StateFolder(settings.state_dir), list(rows.values()), lambda *_: None
    )  # refuses circles and unknown needs


def test_no_two_rows_share_a_port(rows: dict[str, Program]) -> None:
    used = [port for name, row in rows.items() for port in row.ports.values()]
    assert len(used) == len(set(used))


def test_a_service_with_tables_gets_its_own_role_and_the_others_get_no_database(rows: dict[str, Program]) -> None:
    for service in fleet.WITH_DATABASE:
        assert rows[service].env["DB_URL"].startswith(f"postgresql+asyncpg://{service}:")
        assert rows[service].env["DB_URL"] == rows[f"migrate-{service}"].env["DB_URL"]
    assert len({rows[service].env["DB_URL"] for service in fleet.WITH_DATABASE}) == 4


def test_the_users_environment_reaches_services_but_does_not_rewire_them(rows: dict[str, Program]) -> None:
    assert rows["jobs"].env["MAX_CONCURRENT_JOBS"] == "7"
    assert "db.example" not in rows["jobs"].env["DB_URL"]
    assert "MAX_CONCURRENT_JOBS" not in rows["postgres"].env


def test_the_language_models_key_reaches_the_service_that_uses_it_and_no_other(rows: dict[str, Program]) -> None:
    services = (*fleet.WITH_DATABASE, fleet.GATEWAY, "transcriber-1", "transcriber-2")
    assert [name for name in services if "OPENAI_API_KEY" in rows[name].env] == ["metadata"]


def test_no_secret_stands_on_a_command_line(rows: dict[str, Program], settings: NativeSettings) -> None:
    credentials = (settings.state_dir / "credentials.json").read_text().split('"')
    secrets = {part for part in credentials if len(part) > 30}
    assert len(secrets) >= 8
    assert not [name for name, row in rows.items() for part in row.command if any(secret in part for secret in secrets)]


def test_a_test_may_set_variables_for_one_service_or_all(settings: NativeSettings) -> None:
    extra = {"*": {"ENVIRONMENT": "test"}, "transcriber": {"ENGINE": "canned"}}
    rows = {row.name: row for row in fleet.table(StateFolder(settings.state_dir), settings, extra)}
    assert rows["transcriber-2"].env["ENGINE"] == "canned"
    assert rows["auth"].env["ENVIRONMENT"] == "test"
    assert "ENGINE" not in rows["jobs"].env


def test_the_gateway_serves_the_page_once_it_is_built(settings: NativeSettings) -> None:
    state = StateFolder(settings.state_dir)
    rows = {row.name: row for row in fleet.table(state, settings)}
    assert "WEB_DIR" not in rows["gateway"].env
    settings.web_dir.mkdir()
    (settings.web_dir / "index.html").touch()
    rows = {row.name: row for row in fleet.table(state, settings)}
    assert rows["gateway"].env["WEB_DIR"] == str(settings.web_dir)


def test_there_is_a_worker_per_core_and_the_cores_are_shared_out(
    settings: NativeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "cores", lambda: 4)
    monkeypatch.setattr(fleet, "gpus", lambda: 0)
    assert len(fleet.transcribers(settings.model_copy(update={"transcribers": 0}))) == 4
    rows = {row.name: row for row in fleet.table(StateFolder(settings.state_dir), settings)}
    assert rows["transcriber-1"].env["THREADS"] == "2"
    monkeypatch.setattr(fleet, "gpus", lambda: 1)
    assert fleet.transcribers(settings.model_copy(update={"transcribers": 0})) == ["transcriber-1"]


def test_an_ordinary_user_runs_the_database_as_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert programs.unprivileged(tmp_path) == RunAs()


def test_root_runs_the_database_as_nobody_where_it_can_reach_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    owner = programs.unprivileged(Path("/usr/bin")).owner
    assert owner is not None
    assert owner[0] != 0


def test_nobody_keeps_one_capability_where_folders_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(programs, "_works", lambda _: True)
    run_as = programs.unprivileged(closed)
    assert run_as.owner is not None
    assert "--inh-caps=-all,+dac_read_search" in run_as.prefix
    monkeypatch.setattr(programs, "_works", lambda _: False)
    with pytest.raises(programs.ProgramError, match="the account nobody cannot reach"):
        programs.unprivileged(closed)
