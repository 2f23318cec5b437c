"""What can be found: how names and spoken words become search terms, in the language that was spoken."""

import re
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import ColumnElement, TextClause, func, or_, text

from .tables import Job

CONFIGURATIONS: Final = MappingProxyType(
    {
        "ar": "arabic",
        "ca": "catalan",
        "da": "danish",
        "de": "german",
        "el": "greek",
        "en": "english",
        "es": "spanish",
        "eu": "basque",
        "fi": "finnish",
        "fr": "french",
        "hi": "hindi",
        "hu": "hungarian",
        "hy": "armenian",
        "id": "indonesian",
        "it": "italian",
        "lt": "lithuanian",
        "ne": "nepali",
        "nl": "dutch",
        "no": "norwegian",
        "pt": "portuguese",
        "ro": "romanian",
        "ru": "russian",
        "sr": "serbian",
        "sv": "swedish",
        "ta": "tamil",
        "tr": "turkish",
        "yi": "yiddish",
    }
)
"""PostgreSQL's rules for word endings by language code; other languages are found word for word."""

# Scripts without spaces: every character is a term, and a word is a phrase of them.
_CHARACTER: Final = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_CHARACTERS: Final = re.compile(f"{_CHARACTER.pattern}+")
_SEPARATORS: Final = re.compile(r"[\W_]+")
_LAST_WORD: Final = re.compile(r"[^\W_]{3,}$")
_PART_OF_ID: Final = re.compile(r"[0-9a-f-]{8,36}", re.IGNORECASE)
_ID_DIGITS: Final = 32


def terms(spoken: str) -> str:
    """Text as PostgreSQL's parser has to see it."""
    return _CHARACTER.sub(lambda mark: f" {mark[0]} ", spoken)


def name_terms(names: Iterable[str]) -> str:
    """File names and tags as terms: each as a whole, and its parts."""
    whole = list(names)
    parts = [_SEPARATORS.sub(" ", name) for name in whole]
    return terms(" ".join([*parts, *(name for name in whole if name not in parts)]))


def marker(language: str) -> str:
    """A term that no parser makes: the transcript was indexed by the rules of this language."""
    return f"=l:{language}"


def matches(wanted: str) -> ColumnElement[bool]:
    """The condition that a job is what somebody searches for: words, "phrases", -exclusions, or part of an id.

    Each language's word endings apply only to transcripts in that language; the last word may be incomplete.
    """
    wanted = wanted.strip()
    last = _unfinished(wanted)
    words = {"wanted": wanted, "front": wanted.removesuffix(last)}
    found = _MATCHES.bindparams(**{name: _phrases(value) for name, value in words.items()}, last=last and f"{last}:*")
    digits = wanted.replace("-", "")
    if _PART_OF_ID.fullmatch(wanted) and 8 <= len(digits) <= _ID_DIGITS:
        lowest, highest = (UUID(digits.ljust(_ID_DIGITS, filler)) for filler in "0f")
        return or_(Job.id.between(lowest, highest), found)
    return cast("ColumnElement[bool]", found)


def name_vector(names: Iterable[str]) -> ColumnElement[Any]:
    """An expression for the terms of file names and tags, which weigh more than what was said."""
    return func.setweight(func.to_tsvector(_SIMPLE, name_terms(names)[:_NAMES_LIMIT]), _NAME)


def _phrases(wanted: str) -> str:
    if '"' in wanted:
        return terms(wanted)
    return _CHARACTERS.sub(lambda run: f' "{" ".join(run[0])}" ', wanted)


def _unfinished(wanted: str) -> str:
    """The last word if it may be the beginning of one, else nothing."""
    word = _LAST_WORD.search(wanted)
    plain = not re.search(r'["-]|\bor\b', wanted, re.IGNORECASE)
    return word[0] if word and plain and not _CHARACTER.search(word[0]) else ""


_SIMPLE: Final = text("'simple'::regconfig")
_NAME: Final = text("'A'::\"char\"")
# A name made for one job and a few tags; what is longer is found by its beginning.
_NAMES_LIMIT: Final = 2000

_BY_LANGUAGE: Final = " || ".join(
    f"($$'{marker(language)}'$$::tsquery && websearch_to_tsquery('{configuration}', CAST(:wanted AS text)))"
    for language, configuration in CONFIGURATIONS.items()
)

_MATCHES: Final[TextClause] = text(
    f"""jobs.search @@ (
        websearch_to_tsquery('simple', CAST(:wanted AS text))
        || (CASE WHEN CAST(:last AS text) = '' THEN ''::tsquery
                 ELSE websearch_to_tsquery('simple', CAST(:front AS text)) && to_tsquery('simple', :last) END)
        || {_BY_LANGUAGE})"""
)
