"""Parsing of queries: words, "phrases", or, -exclusions become conditions on the stored terms."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Final

import regex

from .folding import folded, letters
from .terms import (
    DENSE,
    GRAM,
    HANGUL,
    SPACED,
    WORD,
    WORD_LIMIT,
    beginning,
    dense_grams,
    marker,
    name_form,
    pair,
    sign,
    spaced,
)

# A phrase starts before a word and ends after one; the quote inside צה"ל does neither.
_TOKEN: Final = regex.compile(r'(?P<no>-)?(?:"(?P<phrase>[^"]*)"(?!\S)|(?P<word>\S+))')
_QUOTES: Final = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"'})
_FOUND: Final = regex.compile(r"[\p{L}\p{N}\p{S}\p{M}]")
_SEPARATORS_ONLY: Final = regex.compile(r"[\s_.\-]*")
_TRAILING: Final = ",;:!?…。、，"
_MOST_TERMS: Final = 24
_PREFIX: Final = 3

Stems = Mapping[str, Mapping[str, Set[str]]]
"""For every word its stems, each with the languages that produce it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A word or a phrase in names or transcript of a job; `excluded`: it is in neither."""

    text: str
    excluded: bool = False
    last: bool = False  # it may be the start of a word

    @property
    def in_names(self) -> list[str]:
        """The parts of names, in the form of `shown`, any of which matches; empty = names are not searched."""
        whole = name_form(self.text)
        parts = [whole, whole.rstrip(_TRAILING), spaced(whole) if " " in spaced(whole) else ""]
        return [part for part in dict.fromkeys(parts) if part and not _SEPARATORS_ONLY.fullmatch(part)]

    @property
    def stemmed(self) -> str | None:
        """The word to stem, in the form for dictionaries; None = no stemming."""
        words = WORD.findall(folded(self.text))
        if len(words) != 1 or " " in self.text or DENSE.search(words[0]) or sign(folded(self.text)) is not None:
            return None
        return str(words[0])[:WORD_LIMIT]

    def spoken(self, stems: Stems) -> str | None:
        """Return the tsquery on the transcript; None = the transcript cannot match."""
        text = folded(self.text)
        if " " not in text and (signed := sign(text)) is not None:
            return _quoted(letters(signed))
        runs = WORD.findall(text)
        if not runs:
            return None
        if (word := self.stemmed) is None:
            return tsquery(_all_of(runs)) or None
        plain = letters(word)
        if not plain:
            return None
        forms = [_quoted(plain)]
        if self.last and len(plain) >= _PREFIX:
            forms.append(f"{_quoted(plain)}:*")
        for stem, languages in stems.get(word, {}).items():
            if stem != plain:
                spoken_in = " | ".join(_quoted(marker(language)) for language in sorted(languages))
                forms.append(f"({_quoted(stem)} & ({spoken_in}))")
        return f"({' | '.join(forms)})"


@dataclass(frozen=True, slots=True)
class Query:
    """Groups of conditions: at least one group must match as a whole; no groups = nothing is found."""

    groups: list[list[Condition]] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """All words to stem."""
        found = (condition.stemmed for group in self.groups for condition in group)
        return sorted({word for word in found if word})


def parsed(wanted: str) -> Query:
    """Parse a query; every text is a valid query, and punctuation alone finds nothing."""
    groups: list[list[Condition]] = [[]]
    tokens = list(_tokens(wanted))[:_MOST_TERMS]
    for number, token in enumerate(tokens):
        if token.text.casefold() == "or" and not token.excluded and groups[-1] and number + 1 < len(tokens):
            groups.append([])
        else:
            groups[-1].append(token)
    return Query([kept for group in groups if (kept := _without_punctuation(group))])


def _tokens(wanted: str) -> Iterator[Condition]:
    matches = list(_TOKEN.finditer(wanted.translate(_QUOTES)))
    for number, match in enumerate(matches):
        is_phrase, excluded = match["word"] is None, match["no"] is not None
        text = " ".join(match["phrase"].split()) if is_phrase else match["word"].strip('"')
        if not is_phrase and excluded and _SEPARATORS_ONLY.fullmatch(text):
            excluded = False
        last = number + 1 == len(matches) and not is_phrase and not excluded and bool(WORD.fullmatch(text[-1:]))
        if text:
            yield Condition(text, excluded=excluded, last=last)


def _without_punctuation(group: list[Condition]) -> list[Condition]:
    """Drop punctuation between words, such as a dash or an ampersand."""
    words = [condition for condition in group if _FOUND.search(condition.text)]
    return words or [condition for condition in group if condition.in_names]


def tsquery(terms: Iterable[str]) -> str:
    """Return the tsquery that requires all terms."""
    return " & ".join(map(_quoted, terms))


def _all_of(runs: Iterable[str]) -> list[str]:
    """Return the terms of words in their order, and of runs without spaces."""
    found: list[str] = []
    before = ""
    for run in runs:
        spoken = [run]
        if DENSE.search(run):
            plain = letters(run)
            is_syllable = len(plain) == 1 and HANGUL.fullmatch(plain)
            found += [beginning(plain)] if is_syllable else dense_grams(plain, [min(GRAM, len(plain))])
            spoken, before = SPACED.findall(run), ""
        for word in filter(None, (letters(each)[:WORD_LIMIT] for each in spoken)):
            found.append(pair(before, word) if before else word)
            before = word
    return [term for term in dict.fromkeys(found) if term]


def _quoted(term: str) -> str:
    doubled = term.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
