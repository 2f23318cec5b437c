"""Keywords of a transcript."""

import logging
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yake
from yake.core import yake as _yake_module

from . import phrases

# YAKE logs its failures with the first characters of the text, but no transcript may be logged.
logging.getLogger("yake").setLevel(logging.CRITICAL)

_STOP_WORDS = Path(_yake_module.__file__).parent / "StopwordsList"
# Whisper's codes whose list has another name or is that of a close language (Bosnian: Croatian, Malay: Indonesian).
_LISTS = {"cs": "cz", "nn": "no", "bs": "hr", "ms": "id"}
# Files whose name is another language for Whisper: `br` is Brazilian Portuguese here, Breton for Whisper.
_NOT_LISTS = frozenset({"br", "nolang"})
# No spaces between words, and words cannot be found without a dictionary: no keywords.
UNREADABLE = frozenset({"bo", "km", "lo", "my", "th"})

_WORDS_PER_KEYWORD = 2
_SIMILARITY = 0.75  # two keywords more alike than this are one
_ENDING = 2  # letters that an inflection adds
_SHORT_WORD = 5  # letters; longer words are content at any frequency
_COMMON_SHARE = 0.01  # of all words


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word or two, and its relevance relative to the transcript's best keyword, which has 1."""

    keyword: str
    score: float


def stop_words(language: str | None, text: str) -> frozenset[str]:
    """Stop words of a language; without a list, the frequent short words of the text."""
    code = (language or "").lower()
    path = _STOP_WORDS / f"stopwords_{_LISTS.get(code, code)}.txt"
    if code and code not in _NOT_LISTS and path.is_file():
        return frozenset(path.read_text(encoding="utf-8").lower().split("\n"))
    counts = Counter(word for word in re.findall(r"\w+", text.lower()) if len(word) <= _SHORT_WORD)
    least = max(3.0, _COMMON_SHARE * sum(counts.values()))
    # Never empty: YAKE uses the English list for an empty set.
    return frozenset(word for word, count in counts.items() if count >= least) | {""}


def extract(text: str, language: str | None, limit: int) -> list[Keyword]:
    """Up to `limit` keywords of a text, best first; none for an unsupported script."""
    if language in UNREADABLE:
        return []
    if language in phrases.CANDIDATES:
        return _relative(phrases.ranked(text, language)[:limit])
    extractor = yake.KeywordExtractor(
        n=_WORDS_PER_KEYWORD, dedup_lim=_SIMILARITY, top=limit * 4, stopwords=set(stop_words(language, text))
    )
    spoken = " ".join(text.lower().split())
    weighed: list[tuple[str, float]] = []
    for keyword, score in extractor.extract_keywords(text):
        if _is_term(keyword.lower(), spoken, [better.lower() for better, _ in weighed]):
            # YAKE's scores: smaller is better; they are not comparable across texts.
            weighed.append((keyword, 1.0 / max(float(score), 1e-9)))
    return _relative(weighed[:limit])


def _is_term(keyword: str, spoken: str, better: list[str]) -> bool:
    """Refuse two words that occur together once, and words of a better term, inflected or not."""
    if " " in keyword:
        return spoken.count(keyword) > 1
    return not any(_same_word(keyword, word) for term in better for word in term.split())


def _same_word(one: str, other: str) -> bool:
    """Whether two words are equal or differ only in an ending, in any language: letter and letters."""
    shorter, longer = sorted((one, other), key=len)
    return longer.startswith(shorter) and len(longer) - len(shorter) <= (_ENDING if len(shorter) > _ENDING + 1 else 0)


def _relative(weighed: list[tuple[str, float]]) -> list[Keyword]:
    best = max((weight for _, weight in weighed), default=0.0)
    return [Keyword(keyword, round(weight / best, 4)) for keyword, weight in weighed]
