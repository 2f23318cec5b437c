"""What must be true of the whole system once it is quiet, whatever happened to it before."""

import json
from collections import Counter
from typing import Any
from uuid import UUID

import asyncpg

from common.testing import eventually
from native import rabbitmq
from native.fleet import WITH_DATABASE

from .chaos import PATIENCE, Expected, Platform
from .platform_client import TERMINAL

KINDS = ("uploads", "jobs", "transcripts")


async def assert_whole(platform: Platform) -> None:
    """Every accepted job is over as expected, once, and nothing of any of them is stuck or left over."""
    broken = await violations(platform)
    assert not broken, "\n".join(broken)


async def violations(platform: Platform) -> list[str]:
    """What is not as `assert_whole` wants it, a sentence each."""
    await platform.healthy()
    broken = []
    for job_id, expected in platform.accepted.items():
        try:
            _assert_ended(await platform.finished(job_id), expected)
            _assert_transcript(platform, job_id, expected)
        except AssertionError as error:
            broken.append(f"lost: job {job_id}: {error}")
    try:
        await assert_quiet(platform)
    except AssertionError as error:
        broken.append(f"stuck: {error}")
    async with platform.sql() as sql:
        for job_id, expected in platform.accepted.items():
            try:
                await _assert_counted_once(sql, job_id, expected)
            except AssertionError as error:
                broken.append(f"counted twice: job {job_id}: {error}")
    try:
        await assert_nothing_left_over(platform)
    except AssertionError as error:
        broken.append(f"left over: {error}")
    return broken


def _assert_ended(job: dict[str, Any], expected: Expected) -> None:
    """The job is in its expected final state, and says why if that is not a transcript."""
    said = f"{job['id']}: {job['state']} in attempt {job['attempt']}, {job['reason_code']}: {job['reason']}"
    assert (job["state"], job["reason_code"]) == (expected.state, expected.reason_code), said
    assert job["attempt"] == expected.attempt, said
    assert expected.state == "completed" or job["reason"], said


async def assert_quiet(platform: Platform) -> None:
    """No job runs, no message waits anywhere."""

    async def waiting() -> dict[str, Any]:
        async with platform.sql() as sql:
            unpublished = {
                f"outbox of {service}": await sql.fetchval(
                    f"SELECT count(*) FROM {service}.outbox WHERE published_at IS NULL"
                )
                for service in WITH_DATABASE
                if await sql.fetchval("SELECT to_regclass($1)", f"{service}.outbox")
            }
            running = await sql.fetchval("SELECT count(*) FROM jobs.jobs WHERE state <> ALL ($1)", list(TERMINAL))
        found = {**unpublished, "jobs": running, **await rabbitmq.contents(platform.fleet.state)}
        return {name: number for name, number in found.items() if number}

    await eventually(waiting, lambda found: not found, "nothing waits any more", seconds=PATIENCE)


async def _assert_counted_once(sql: asyncpg.Connection, job_id: str, expected: Expected) -> None:
    """The ledger is closed and agrees with the job's row; no state was entered twice, and the history has no gap."""
    job = await sql.fetchrow("SELECT * FROM jobs.jobs WHERE id = $1", UUID(job_id))
    assert job is not None
    chunks = await sql.fetch(
        "SELECT * FROM jobs.chunks WHERE job_id = $1 AND attempt = $2", UUID(job_id), job["attempt"]
    )
    done = [chunk for chunk in chunks if chunk["state"] == "done"]
    assert job["chunks_done"] == len(done)
    assert job["chunks_known"] == len(chunks)
    assert abs(job["seconds_done"] - sum(chunk["seconds"] for chunk in done)) < 0.001
    if expected.transcript is not None:
        assert job["chunks_planned"] == len(chunks) == len(done), "the ledger is not closed"
        assert job["transcript_attempt"] == job["attempt"]
    events = await sql.fetch("SELECT seq, kind, data FROM jobs.job_events WHERE job_id = $1 ORDER BY seq", UUID(job_id))
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    entered = Counter(
        (said["attempt"], said["state"])
        for event in events
        if event["kind"] == "state"
        for said in [json.loads(event["data"])]
    )
    repeated = {name: times for name, times in entered.items() if times > 1}
    assert not repeated, f"states that the job entered more than once: {repeated}"
    heard = Counter(json.loads(event["data"])["chunk"] for event in events if event["kind"] == "segments")
    assert all(times <= job["attempt"] for times in heard.values()), f"chunks told of more than once: {heard}"


def _assert_transcript(platform: Platform, job_id: str, expected: Expected) -> None:
    """Exactly what an undisturbed run brings can be read."""
    answer = platform.user.http.get(f"/jobs/{job_id}/download", params={"format": "json"})
    if expected.transcript is None:
        assert answer.status_code == 409, answer.text
        return
    assert answer.status_code == 200, answer.text
    assert answer.content == expected.transcript, "the transcript differs from the undisturbed one"


async def assert_nothing_left_over(platform: Platform) -> None:
    """After two sweeps that find everything old enough, the store holds nothing without a job."""
    for _ in range(2):
        await swept(platform)
    async with platform.sql() as sql:
        known = {str(row["id"]) for row in await sql.fetch("SELECT id FROM jobs.jobs")}
    async with platform.bucket() as store:
        orphans = [
            item.key for kind in KINDS async for item in store.list(f"{kind}/") if item.key.split("/")[1] not in known
        ]
    assert not orphans, f"objects without a job: {orphans}"


async def swept(platform: Platform) -> None:
    """Have cleanup run all its rules, and wait until it is through."""
    answer = platform.user.http.post("/admin/cleanup/run")
    assert answer.status_code == 202, answer.text
    path = f"/admin/cleanup/reports/{answer.json()['id']}"
    said = await eventually(lambda: platform.user.http.get(path).json(), lambda said: said["finished_at"] is not None)
    assert not said["failed"], said
