"""Search by names, transcript and keywords, and listings in every order."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from common.testing.events import audio_planned, chunk_planned, chunk_transcribed
from jobs.loops.search_terms import write_terms

from .jobs_harness import Person, Platform, a_new_job

pytestmark = pytest.mark.integration


async def found(person: Person, **params: Any) -> list[str]:
    """Ids of the jobs on the first page."""
    answer = await person.http.get("/jobs", params=params)
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["items"]]


async def test_a_job_is_found_by_its_names_and_parts_of_its_id(platform: Platform) -> None:
    person, stranger = platform.person(), platform.person()
    job_id = str(await person.create(a_new_job(file_name="Interview_Zoë-2024.final.mp3", tags=["board meeting"])))
    await person.create()
    for words in ("interview", "zoë 2024", "fin", "Interview_Zoë-2024.final.mp3", "board", '"board meeting"'):
        assert await found(person, q=words) == [job_id], words
    for part in (job_id, job_id[:8], job_id[:20], job_id.upper()):
        assert await found(person, q=part) == [job_id], part
    for words in (
        "interview -zoë",
        '"meeting board"',
        "nothing",
        "...",
        job_id[:-1] + ("0" if job_id[-1] != "0" else "1"),
    ):
        assert await found(person, q=words) == [], words
    assert await found(stranger, q="interview") == []
    assert await found(person, tag="board meeting") == [job_id]
    assert await found(person, tag="board") == []


async def test_a_job_is_found_by_inflected_words_of_its_language(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    await platform.transcribe(person, job_id, "The budgets were discussed", "at great length.")
    for words in ("budget", "discuss", "budgets discussing", '"great length"', "budget or unicorn", "disc"):
        assert await found(person, q=words) == [str(job_id)], words
    for words in ("unicorn", "budget -length", '"length great"'):
        assert await found(person, q=words) == [], words


async def test_names_tags_and_queries_are_normalized_alike(platform: Platform) -> None:
    person = platform.person()
    apart = "Mu\u0308ller"
    job_id = str(await person.create(a_new_job(file_name=f"{apart}.wav", tags=[apart])))
    assert (await person.job(UUID(job_id)))["file_name"] == "M\u00fcller.wav"
    for form in (apart, "M\u00fcller"):
        assert await found(person, q=form) == await found(person, tag=form) == [job_id], form


async def test_missing_terms_of_an_older_release_are_written(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create(a_new_job(file_name="PTT-2024.opus", tags=["x-1"]))
    await platform.transcribe(person, job_id, "我们明天开会讨论预算", "Well-known budgets")
    async with platform.sessions.begin() as session:
        await session.execute(text("UPDATE jobs SET shown = NULL, grams = '', search = to_tsvector('simple', 'old')"))
    assert await found(person, q="-old") == []
    assert await write_terms(platform.sessions) == 1
    assert await write_terms(platform.sessions) == 0
    for words in ("T-20", "x-1", "讨论预算", "budget", "-old"):
        assert await found(person, q=words) == [str(job_id)], words


async def test_words_of_scripts_without_spaces_are_found(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    await platform.transcribe(person, job_id, "我们明天开会讨论预算")
    assert await found(person, q="开会") == [str(job_id)]
    assert await found(person, q="会开") == []


async def test_keywords_are_shown_and_found(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    await person.reached(job_id, "processing")
    await _spoken(platform, job_id)
    await platform.complete(person, job_id, keywords=["quarterly figures", "a\x00b"])
    assert (await person.job(job_id))["keywords"] == ["quarterly figures", "a\N{REPLACEMENT CHARACTER}b"]
    assert await found(person, q="quarterly") == [str(job_id)]


async def test_excess_words_are_cut(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    await platform.transcribe(person, job_id, " ".join(f"first{number}word" for number in range(100_000)))
    assert await found(person, q="first7word") == [str(job_id)]


async def test_every_order_pages_through_all_jobs_in_both_directions(platform: Platform) -> None:
    person = platform.person()
    for _ in range(7):
        await person.create()
    async with platform.sessions.begin() as session:
        await session.execute(
            text(
                "UPDATE jobs SET duration_seconds = CASE number WHEN 1 THEN NULL ELSE number / 3 END,"
                " finished_at = CASE WHEN number < 5 THEN now() - make_interval(hours => number::int / 2) END,"
                " state = CASE WHEN number < 5 THEN 'failed' ELSE state END"
                " FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM jobs) AS numbered"
                " WHERE numbered.id = jobs.id"
            )
        )
    for sort in ("created_at", "finished_at", "duration"):
        everything = {order: await _all_pages(person, sort=sort, order=order) for order in ("asc", "desc")}
        assert len(set(everything["asc"])) == 7
        assert everything["asc"] == everything["desc"][::-1], sort
    page = (await person.http.get("/jobs", params={"limit": 2, "sort": "duration"})).json()
    answer = await person.http.get("/jobs", params={"cursor": page["next_cursor"], "sort": "finished_at"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_filters_combine_and_the_total_counts_matches(platform: Platform) -> None:
    person = platform.person()
    wanted = str(await person.create(a_new_job(model="base", tags=["x"], file_name="one.wav")))
    await person.create(a_new_job(model="other", tags=["x"]))
    created = (await person.job(UUID(wanted)))["created_at"]
    answer = await person.http.get("/jobs", params={"model": "base", "tag": "x", "total": "true", "limit": 1})
    assert ([job["id"] for job in answer.json()["items"]], answer.json()["total"]) == ([wanted], 1)
    assert await found(person, created_before=created, tag="x") == []
    assert wanted in await found(person, created_after=created)
    several = (await person.http.get("/jobs", params={"state": ["queued", "processing"]})).json()["items"]
    assert len(several) == 2


async def test_duplicates_of_the_same_owner_are_marked(platform: Platform) -> None:
    person, stranger = platform.person(), platform.person()
    first = await person.create(a_new_job(sha256="12" * 32))
    again = await person.create(a_new_job(sha256="12" * 32))
    foreign = await stranger.create(a_new_job(sha256="12" * 32))
    assert (await person.job(first))["duplicate_of"] is None
    assert (await person.job(again))["duplicate_of"] == str(first)
    assert (await stranger.job(foreign))["duplicate_of"] is None
    await person.http.delete(f"/jobs/{first}")
    assert (await person.job(again))["duplicate_of"] is None


async def _spoken(platform: Platform, job_id: UUID) -> None:

    await platform.broker.publish(chunk_planned(job_id, 0))
    await platform.broker.publish(chunk_transcribed(job_id, 0))
    await platform.broker.publish(audio_planned(job_id, 1))


async def _all_pages(person: Person, **params: Any) -> list[str]:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await person.http.get("/jobs", params={"limit": 2, **params, **cursor})).json()
        seen += [job["id"] for job in page["items"]]
        if page["next_cursor"] is None:
            return seen
        cursor = {"cursor": page["next_cursor"]}
