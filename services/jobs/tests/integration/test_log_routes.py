"""The logs over HTTP: permissions, pages and text."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.events.archive import ArchivedBatch
from jobs.logs.archive import LogArchive

from .jobs_harness import Person, Platform
from .test_log_archive import access_line, line

pytestmark = pytest.mark.integration

Sessions = async_sessionmaker[AsyncSession]


async def store(platform: Platform, *messages: object) -> None:
    async def discard(_: ArchivedBatch) -> None:
        """Publish nothing."""

    await LogArchive(platform.sessions, platform.settings, discard).store(messages)  # type: ignore[arg-type]


async def text(person: Person, path: str, **params: int) -> Sequence[str]:
    answer = await person.http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return answer.text.splitlines()


async def test_a_job_log_is_readable_by_owner_and_administrators(platform: Platform) -> None:
    owner, stranger, administrator = platform.person(), platform.person(), platform.person(role="admin")
    job_id = await owner.create()
    await store(platform, line(job_id, "said of the job", service="transcriber"), line(uuid4(), "of another"))
    for person in (owner, administrator):
        lines = await text(person, f"/log/{job_id}")
        assert any("transcriber said of the job" in shown for shown in lines)
        assert not any("of another" in shown for shown in lines)
        page = (await person.http.get(f"/jobs/{job_id}/logs")).json()
        assert "said of the job" in [item["record"]["event"] for item in page["items"]]
    for path in (f"/log/{job_id}", f"/jobs/{job_id}/logs", f"/log/{uuid4()}"):
        answer = await stranger.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


async def test_the_other_logs_require_an_administrator(platform: Platform) -> None:
    person = platform.person()
    for path in ("/logs/access", "/logs/system", "/logs/jobs.log", "/log-lines"):
        answer = await person.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "admin_only"), path


async def test_an_empty_access_log_is_a_404(platform: Platform) -> None:
    administrator = platform.person(role="admin")
    answer = await administrator.http.get("/logs/access")
    assert (answer.status_code, answer.content) == (404, b"")
    await store(platform, access_line("/jobs"), line("-", "service started"))
    (shown,) = await text(administrator, "/logs/access")
    assert "request answered" in shown
    assert "path=/jobs" in shown


async def test_the_system_log_has_lines_with_and_without_a_job(platform: Platform) -> None:
    administrator = platform.person(role="admin")
    await store(platform, line(uuid4(), "of a job"), access_line("/jobs"), line("-", "of no job"))
    shown = await text(administrator, "/logs/system", lines=2)
    assert ["of a job" in shown[0], "of no job" in shown[1], len(shown)] == [True, True, 2]
    page = (await administrator.http.get("/log-lines", params={"limit": 1})).json()
    assert not page["complete"]
    rest = (await administrator.http.get("/log-lines", params={"after": page["next_after"]})).json()
    assert rest["complete"]
    assert "of no job" in [item["record"]["event"] for item in rest["items"]]


async def test_a_log_file_name_is_not_a_path(platform: Platform) -> None:
    administrator = platform.person(role="admin")
    await store(platform, line(uuid4(), "decoded", service="transcriber"), access_line("/jobs"))
    shown = await text(administrator, "/logs/transcriber.log")
    assert any("decoded" in one for one in shown)
    for name in ("nothing.log", "transcriber", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "jobs.log%00"):
        answer = await administrator.http.get(f"/logs/{name}")
        assert answer.status_code == 404, name
    assert "jobs.log" in (await administrator.http.get("/logs/nothing.log")).json()["names"]


async def test_a_long_log_is_complete_and_ordered(platform: Platform) -> None:
    owner = platform.person()
    job_id: UUID = await owner.create()
    for start in range(0, 2500, 500):
        await store(platform, *(line(job_id, f"number {number}") for number in range(start, start + 500)))
    lines = [shown for shown in await text(owner, f"/log/{job_id}") if "number" in shown]
    assert [int(shown.split("number ")[1].split()[0]) for shown in lines] == list(range(2500))
