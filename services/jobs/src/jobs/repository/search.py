"""Writing what can be found about a job."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.search import CONFIGURATIONS, marker, terms
from jobs.tables import Job

# PostgreSQL holds a megabyte of terms per row, which is a working day of speech. Whatever does not fit is cut.
_SURE_TO_FIT: Final = 100_000
_PROGRAM_LIMIT_EXCEEDED: Final = "54000"

_SPOKEN: Final = text("""
    UPDATE jobs SET search = ts_filter(search, '{a}') || array_to_tsvector(CAST(:markers AS text[]))
        || to_tsvector('simple', CAST(:words AS text)) || to_tsvector(CAST(:configuration AS regconfig), :words)
    WHERE id = :job
""")

_KEYWORDS: Final = text("""
    UPDATE jobs SET search = search || setweight(to_tsvector('simple', CAST(:words AS text)), 'B') WHERE id = :job
""")


class SearchRepository:
    """Keeps the search terms of jobs."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def put_transcript(self, job: Job, texts: Sequence[str], language: str | None) -> None:
        """Replace what was said, and the keywords, by a new transcript in a language."""
        words = terms(" ".join(texts))
        configuration = CONFIGURATIONS.get(language or "", "simple")
        markers = [marker(language)] if language is not None and language in CONFIGURATIONS else []
        values = {"words": words, "configuration": configuration, "markers": markers, "job": job.id}
        if len(words) > _SURE_TO_FIT:
            try:
                async with self._session.begin_nested():
                    await self._session.execute(_SPOKEN, values)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) != _PROGRAM_LIMIT_EXCEEDED:
                    raise
                values["words"] = words[:_SURE_TO_FIT]
            else:
                return
        await self._session.execute(_SPOKEN, values)

    async def put_keywords(self, job_id: UUID, keywords: Sequence[str]) -> None:
        """Add the transcript's keywords."""
        await self._session.execute(_KEYWORDS, {"words": terms(" ".join(keywords)), "job": job_id})
