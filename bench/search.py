"""Search and listing in a catalogue of 100,000 jobs: p99 at most 100 ms for a search, 50 ms for a page of the listing.

    PYTHONPATH=tests python -m bench.search

A separate PostgreSQL, filled with `BENCH_JOBS` (100000) jobs of five owners: file names as of phones, recorders
and users, and 10,000 transcripts of 300 words in eight languages, with realistic word frequencies. Every kind of query
runs `BENCH_RUNS` (25) times with different words, for one owner's jobs and for all jobs, from the parsed request to the
page. The cost of storing the terms of an hour of speech is also measured.
"""

import asyncio
import os
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from uuid import UUID

import asyncpg
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from bench import report
from common import database
from common.settings import DatabaseSettings
from common.web.identity import Identity
from jobs.repository import SearchRepository
from jobs.schemas.listing import ListQuery
from jobs.search import DICTIONARIES, marker, name_grams, shown, spoken_terms
from jobs.service import Cancellations, JobCatalogue, Resources
from jobs.settings import Settings
from jobs.tables import Job
from native import postgres
from native.hosting import Hosted
from native.testing import PostgresServer

JOBS = int(os.environ.get("BENCH_JOBS", "100000"))
RUNS = int(os.environ.get("BENCH_RUNS", "25"))
COMMAND = "PYTHONPATH=tests python -m bench.search"
OWNERS = [UUID(int=number) for number in range(1, 6)]
WORDS = 300
TRANSCRIPTS = 10_000

# The most frequent words are real; 20,000 others per language are random letters.
LANGUAGES = {
    "en": (
        "the of and to a in that it is was for on you with be meeting budget quarter project customer",
        "aeioubcdfglmnprst",
    ),
    "de": (
        "die der und in zu den das nicht von sie ist des sich mit dem wir Besprechung Haushalt Straße",
        "aeiouäöübdefghklmnrst",
    ),
    "fr": ("de la le et les des en un du une que est pour qui dans réunion école année projet", "aeiouéèbcdflmnprst"),
    "es": ("de la que el en y a los se del las un por con no reunión año niño proyecto", "aeiouáñbcdflmnprst"),
    "ru": ("и в не на я что с он как это по но они к у собрание бюджет город книга", "аеиоубвгдклмнпрстя"),
    "zh": ("", "的一是不了人我在有他这中大来上个国和说们为子你地出道也时年得就那要下以生会自着去之过家学对可她里后"),
    "ko": ("", "가나다라마바사아자차카타파하고노도로모보소오조초코토포호학습결정검사시각회의"),
    "th": ("", "กขคงจชซดตถทนบปผพฟมยรลวสหอะาิีึืุูเแโใไ"),
}
DENSE = {"zh", "ko", "th"}
PEOPLE = ("Müller", "Smith-Jones", "O'Brien", "Zoë", "García", "Иванова", "王伟", "김민준", "สมชาย", "Ångström")
SUBJECTS = (
    "Interview",
    "Meeting",
    "Besprechung",
    "Réunion",
    "Reunión",
    "Podcast",
    "Собрание",
    "会议",
    "회의록",
    "ประชุม",
)

Draw = Callable[[], str]


class Speech:
    """A language: its words by frequency (Zipf), and random text."""

    def __init__(self, language: str, chance: random.Random) -> None:
        frequent, letters = LANGUAGES[language]
        made = (
            "".join(chance.choices(letters, k=chance.randint(2, 3 if language in DENSE else 9))) for _ in range(20_000)
        )
        self.words = list(dict.fromkeys([*frequent.split(), *made]))
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(len(self.words))))
        self._between = {"zh": "", "th": "", "ko": " "}.get(language, " ")
        self._chance = chance

    def said(self, words: int) -> str:
        """Random speech of that many words."""
        drawn = self._chance.choices(self.words, cum_weights=self._weights, k=words)
        return ". ".join(self._between.join(drawn[start : start + 12]) for start in range(0, words, 12))


def file_name(chance: random.Random) -> str:
    """A file name as of a phone, a recorder, a conference or a user."""
    date = f"{chance.randint(2019, 2026)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
    clock = f"{chance.randint(0, 23):02}{chance.randint(0, 59):02}{chance.randint(0, 59):02}"
    dashed = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    kinds = (
        f"PTT-{date}-WA{chance.randint(0, 99):04}.opus",
        f"audio_{dashed}.m4a",
        f"{dashed} {clock[:2]}-{clock[2:4]}-{clock[4:]}.mkv",
        f"{chance.randint(200, 999)}-555-{chance.randint(0, 9999):04}.wav",
        f"{chance.choice(SUBJECTS)} {chance.choice(PEOPLE)} {dashed}.mp3",
        f"{chance.choice(SUBJECTS)}_{chance.choice(PEOPLE)}_{chance.randint(1, 400)}.mp3",
        f"New Recording ({chance.randint(1, 300)}).m4a",
    )
    return chance.choice(kinds)


def main() -> None:
    """Fill, measure, print, and write the section of the page."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Hosted(Path(folder), lambda state: [postgres.program(state)]).running() as programs,
    ):
        asyncio.run(_measure(PostgresServer(programs, postgres.NAME).create_migrated("jobs.migrations")))


async def _measure(url: str) -> None:
    chance = random.Random(7)
    speech = {language: Speech(language, chance) for language in LANGUAGES}
    began = time.monotonic()
    await _fill(url, speech, chance)
    print(f"{JOBS} jobs in {time.monotonic() - began:.0f} s", flush=True)
    settings = Settings(
        environment="test",
        db_url=url,
        broker_url="amqp://127.0.0.1:1/",
        jwks_url="http://127.0.0.1:1/",
        internal_token=secrets.token_urlsafe(32),
    )
    engine = database.create_engine(DatabaseSettings(db_url=url))
    sessions = database.sessions(engine)
    resources = Resources(settings, Cancellations())
    rows: list[tuple[str, ...]] = []
    everything: list[float] = []
    for kind, draw in _queries(speech, chance).items():
        taken: list[float] = []
        hits: list[int] = []
        for _ in range(RUNS):
            words = draw()
            for who, owner in ((OWNERS[0], None), (OWNERS[0], "all")):
                wanted = ListQuery.model_validate({"q": words, "owner": owner} if words else {"owner": owner})
                taken.append(await _asked(sessions, resources, who, wanted, hits))
        rows.append(
            (kind, draw(), f"{statistics.mean(hits):.0f}", _ms(taken, 50), _ms(taken, 99), f"{max(taken) * 1000:.0f}")
        )
        print(*rows[-1], sep=" | ", flush=True)
        if kind != "no words: the listing":
            everything += taken
    stored = await _stored(sessions, speech)
    async with engine.connect() as connection:
        sizes = [(name, size) for name, size in await connection.execute(text(SIZES))]
    await engine.dispose()
    _report(rows, everything, stored, dict(sizes))


SIZES = """
    SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class
    WHERE relname IN ('jobs', 'jobs_search_idx', 'jobs_grams_idx')
"""


async def _asked(
    sessions: async_sessionmaker[AsyncSession], resources: Resources, who: UUID, wanted: ListQuery, hits: list[int]
) -> float:
    began = time.perf_counter()
    async with sessions() as session:
        identity = Identity(who, "user", "admin", "a-token")
        page = await JobCatalogue(session, resources).page(identity, wanted)
        page.model_dump_json()
    hits.append(len(page.items))
    return time.perf_counter() - began


def _queries(speech: dict[str, Speech], chance: random.Random) -> dict[str, Draw]:
    def spoken(first: int, last: int, *languages: str) -> Draw:
        return lambda: chance.choice(speech[chance.choice(languages)].words[first:last])

    def of_name(length: int) -> Draw:
        def part() -> str:
            name = file_name(chance)
            start = chance.randint(0, max(0, len(name) - length))
            return name[start : start + length].strip(' -"') or "a"

        return part

    western = ("en", "de", "fr", "es", "ru")
    frequent, rare = spoken(0, 12, *western), spoken(3000, 15_000, *western)
    return {
        "no words: the listing": lambda: "",
        "a whole name": lambda: file_name(chance),
        "8 characters of a name": of_name(8),
        "3 characters of a name": of_name(3),
        "2 characters of a name": of_name(2),
        "1 character": of_name(1),
        "a frequent part of names": lambda: chance.choice([".mp3", "2024", "meeting", "555", "audio_20", "Recording"]),
        "a frequent word": frequent,
        "a rare word": rare,
        "the beginning of a word": lambda: spoken(20, 15_000, *western)()[:3],
        "two words": lambda: f"{frequent()} {rare()}",
        "three frequent words": lambda: f"{frequent()} {frequent()} {frequent()}",
        "a phrase": lambda: f'"{frequent()} {rare()}"',
        "a name and a word": lambda: f"{chance.choice(SUBJECTS)} {rare()}",
        "either of two": lambda: f"{rare()} or {rare()}",
        "a word and not another": lambda: f"{frequent()} -{rare()}",
        "only an exclusion": lambda: f"-{frequent()}",
        "Chinese, Korean, Thai: 1": lambda: chance.choice(LANGUAGES[chance.choice(["zh", "ko", "th"])][1]),
        "Chinese, Korean, Thai: 2-3": spoken(0, 15_000, "zh", "ko", "th"),
        "found nowhere": lambda: f"{chance.choice(['xq', 'PTT-2018', 'ж', '驫'])}{chance.randint(10**6, 10**7)}qx",
    }


async def _fill(url: str, speech: dict[str, Speech], chance: random.Random) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    indexes = await connection.fetch(
        "SELECT indexdef FROM pg_indexes WHERE indexname IN ('jobs_search_idx', 'jobs_grams_idx')"
    )
    await connection.execute("DROP INDEX jobs_search_idx; DROP INDEX jobs_grams_idx")
    await connection.execute("CREATE TEMP TABLE said (number int PRIMARY KEY, search tsvector)")
    for start in range(0, TRANSCRIPTS, 500):
        await connection.executemany(SAID, list(_transcripts(start, 500, speech, chance)))
    for start in range(0, JOBS, 1000):
        await connection.executemany(INSERT, list(_rows(start, min(1000, JOBS - start), chance)))
    await connection.execute("SET maintenance_work_mem = '1GB'")
    for row in indexes:
        await connection.execute(row["indexdef"])
    await connection.execute("VACUUM ANALYZE jobs")
    await connection.close()


SAID = """
    INSERT INTO said (number, search) VALUES ($1, array_to_tsvector($2::text[] || ARRAY(
        SELECT DISTINCT stem FROM unnest($3::text[]) AS word
        CROSS JOIN LATERAL unnest(ts_lexize($4::text::regdictionary, word)) AS stem)))
"""
INSERT = """
    INSERT INTO jobs (id, owner_id, file_name, content_type, size_bytes, sha256, source_key, options, correlation_id,
                      state, created_at, turn_at, finished_at, duration_seconds, transcript_attempt, shown, grams,
                      search)
    VALUES (gen_random_uuid(), $1, $2, 'audio/mpeg', 1, repeat('0', 64), 'uploads/x/source', '{"model": "base"}', 'c',
            'completed', now() - make_interval(secs => $3), now(), now() - make_interval(secs => $3), 60, 1,
            $4, array_to_tsvector($5::text[]), (SELECT search FROM said WHERE number = $6))
"""


def _transcripts(
    start: int, count: int, speech: dict[str, Speech], chance: random.Random
) -> Iterator[tuple[object, ...]]:
    for number in range(start, start + count):
        language = chance.choice(list(speech))
        terms, words = spoken_terms([speech[language].said(WORDS)])
        dictionary = DICTIONARIES.get(language)
        yield number, [*terms, marker(language)] if dictionary else terms, words, dictionary or "simple"


def _rows(start: int, count: int, chance: random.Random) -> Iterator[tuple[object, ...]]:
    for number in range(start, start + count):
        name, owner = file_name(chance), chance.choice(OWNERS)
        lines = shown([name])
        yield owner, name, float(number), lines, name_grams(lines), chance.randrange(TRANSCRIPTS)


async def _stored(sessions: async_sessionmaker[AsyncSession], speech: dict[str, Speech]) -> list[tuple[str, str, str]]:
    """The cost of an hour of speech: to create its terms, and to write them."""
    rows = []
    for language in ("en", "zh"):
        said = [speech[language].said(300) for _ in range(30)]
        began = time.perf_counter()
        terms, _ = spoken_terms(said)
        made = time.perf_counter() - began
        async with sessions.begin() as session:
            job = (await session.scalars(select(Job).limit(1))).one()
            began = time.perf_counter()
            await SearchRepository(session).put_transcript(job, said, language)
        rows.append(
            (language, f"{len(terms):,}", f"{made * 1000:.0f} + {(time.perf_counter() - began - made) * 1000:.0f} ms")
        )
    return rows


def _ms(taken: list[float], percent: int) -> str:
    return f"{statistics.quantiles(taken, n=100, method='inclusive')[percent - 1] * 1000:.1f}"


def _report(
    rows: list[tuple[str, ...]], everything: list[float], stored: list[tuple[str, str, str]], sizes: dict[str, str]
) -> None:
    measured = report.table(("query", "for example", "jobs on the page", "median ms", "p99 ms", "longest ms"), rows)
    summary = (
        f"{JOBS:,} jobs of {len(OWNERS)} owners, each with one of {TRANSCRIPTS:,} transcripts of {WORDS} words in"
        f" {len(LANGUAGES)} languages;"
        f" {RUNS} queries of each kind, for one owner's jobs and for all jobs. All searches together: median"
        f" {_ms(everything, 50)} ms, p99 {_ms(everything, 99)} ms; budget 100 ms, and 50 ms for the listing."
    )
    written = report.table(("an hour of speech", "terms", "to make + to write"), stored)
    size = ", ".join(f"{name} {size}" for name, size in sorted(sizes.items()))
    page = "\n\n".join(
        [summary, measured, written, f"Sizes: {size}.", report.provenance(COMMAND, ("sqlalchemy", "asyncpg"))]
    )
    print(page)
    report.write_section("search", page)


if __name__ == "__main__":
    main()
