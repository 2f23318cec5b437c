"""Queries that write search terms and build search conditions."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, func, literal, not_, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from jobs.search import (
    DICTIONARIES,
    GRAM,
    Condition,
    Query,
    Stems,
    marker,
    name_grams,
    parsed,
    shown,
    spoken_terms,
    tsquery,
    wanted_grams,
)
from jobs.tables import Job

from .ledger import LedgerRepository

# Lengths of a part of an id that is not taken for a word.
_ID_DIGITS: Final = range(8, 33)
_HEXADECIMAL: Final = frozenset("0123456789abcdefABCDEF-")

_SPOKEN: Final = text("""
    UPDATE jobs SET search = array_to_tsvector(CAST(:terms AS text[]) || ARRAY(
        SELECT DISTINCT stem FROM unnest(CAST(:words AS text[])) AS word
        CROSS JOIN LATERAL unnest(ts_lexize(CAST(:dictionary AS regdictionary), word)) AS stem WHERE stem <> ''))
    WHERE id = :job
""")

_STEMS: Final = text("""
    SELECT word, language, stem FROM unnest(CAST(:words AS text[])) AS word
    CROSS JOIN unnest(CAST(:languages AS text[]), CAST(:dictionaries AS text[])) AS known(language, dictionary)
    CROSS JOIN LATERAL unnest(ts_lexize(CAST(dictionary AS regdictionary), word)) AS stem
    WHERE stem <> ''
""")


@dataclass(frozen=True, slots=True)
class Found:
    """A search condition; `by_index`: the indexes alone answer it, without reading other rows."""

    condition: ColumnElement[bool]
    by_index: bool


class SearchRepository:
    """Reads and writes the search terms of jobs."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put_transcript(self, job: Job, texts: Sequence[str], language: str | None) -> None:
        """Replace the terms of transcript and keywords by those of a new transcript."""
        terms, words = await asyncio.to_thread(spoken_terms, texts)  # hours of speech take a second
        dictionary = DICTIONARIES.get(language or "")
        if language is not None and dictionary is not None:
            terms.append(marker(language))
        values = {"terms": terms, "words": words, "dictionary": dictionary or "simple"}
        await self._session.execute(_SPOKEN, values | {"job": job.id})

    async def put_keywords(self, job_id: UUID, keywords: Sequence[str]) -> None:
        """Add the terms of the keywords."""
        terms, _ = spoken_terms(keywords)
        added = Job.search.concat(func.array_to_tsvector(literal(terms, ARRAY(Text))))
        await self._session.execute(update(Job).where(Job.id == job_id).values(search=added))

    async def rebuild(self, limit: int) -> int:
        """Write the terms of at most `limit` jobs that lack the columns of this release; return their number."""
        query = select(Job).where(Job.shown.is_(None)).order_by(Job.id).limit(limit)
        jobs = (await self._session.scalars(query.with_for_update(skip_locked=True))).all()
        for job in jobs:
            await self._session.execute(update(Job).where(Job.id == job.id).values(name_terms(job.file_name, job.tags)))
            if job.transcript_attempt is not None:
                texts = await LedgerRepository(self._session).texts(job.id, job.transcript_attempt)
                await self.put_transcript(job, texts, job.spoken_language)
                await self.put_keywords(job.id, job.keywords)
        return len(jobs)

    async def matches(self, wanted: str) -> "Found":
        """Return the condition for a search by names, transcript, or id."""
        query = parsed(wanted)
        stems = await self._stems(query)
        groups = query.groups
        if len(groups) > 1 and all(len(group) == 1 and not group[0].excluded for group in groups):
            found = [_any_of([group[0] for group in groups], stems)]
        else:
            found = [_all_of(group, stems) for group in groups]
        digits = wanted.strip().replace("-", "")
        if len(digits) in _ID_DIGITS and _HEXADECIMAL.issuperset(wanted.strip()):
            lowest, highest = (UUID(digits.ljust(32, filler)) for filler in "0f")
            found.append(Job.id.between(lowest, highest))
        by_index = all(any(not condition.excluded for condition in group) for group in groups)
        return Found(or_(false(), *found), by_index=by_index)

    async def _stems(self, query: Query) -> Stems:
        values = {
            "words": query.words,
            "languages": list(DICTIONARIES),
            "dictionaries": list(DICTIONARIES.values()),
        }
        found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        if query.words:
            for word, language, stem in await self._session.execute(_STEMS, values):
                found[word][stem].add(language)
        return {word: dict(stems) for word, stems in found.items()}


def name_terms(file_name: str, tags: Iterable[str]) -> dict[str, Any]:
    """Return the search columns for a file name and tags."""
    lines = shown([file_name, *tags])
    return {"shown": lines, "grams": func.array_to_tsvector(literal(name_grams(lines), ARRAY(Text)))}


def _all_of(group: Sequence[Condition], stems: Stems) -> ColumnElement[bool]:
    """Combine a group with AND; exclusions are part of the first index search."""
    wanted = [condition for condition in group if not condition.excluded]
    excluded = [condition for condition in group if condition.excluded]
    unwanted = " | ".join(spoken for each in excluded if (spoken := each.spoken(stems)) is not None)
    parts = [part for condition in excluded for part in condition.in_names]
    clear = [not_(func.coalesce(Job.shown.contains(part, autoescape=True), false())) for part in parts]
    if not wanted:
        return and_(true(), *clear, *([not_(_has(Job.search, unwanted))] if unwanted else ()))
    found = [_any_of([condition], stems, "" if number else unwanted) for number, condition in enumerate(wanted)]
    return and_(*found, *clear)


def _any_of(conditions: Sequence[Condition], stems: Stems, unwanted: str = "") -> ColumnElement[bool]:
    """Combine conditions on names or transcript with OR; the transcript must not match `unwanted`.

    The indexes alone answer the first part. The other parts read the row: they check the order of a name's characters,
    and the transcript only if the name does not match, because reading a transcript's terms takes far longer.
    """
    parts = [part for condition in conditions for part in condition.in_names]
    spoken = " | ".join(f"({each})" for condition in conditions if (each := condition.spoken(stems)) is not None)
    if spoken and unwanted:
        spoken = f"({spoken}) & !({unwanted})"
    said = [_has(Job.search, spoken)] if spoken else []
    if not parts:
        return or_(false(), *said)
    similar = [_has(Job.grams, tsquery(wanted_grams(part))) for part in parts]
    named = [Job.shown.contains(part, autoescape=True) for part in parts]
    checks = []
    if any(len(part) > GRAM for part in parts):
        checks.append(or_(*named, not_(or_(*similar)), *said))
    if unwanted:
        checks.append(or_(not_(or_(*similar)), not_(_has(Job.search, unwanted))))
    return and_(or_(*similar, *said), *checks)


def _has(column: Any, wanted: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = column.op("@@", is_comparison=True)(literal(wanted, Text).cast(TSQUERY))
    return found
