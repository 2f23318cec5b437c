"""What somebody searches for: words, "phrases", or, -exclusions, as conditions on the terms that are stored."""

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

# An opening quote stands before a word and its partner behind one: the quote inside צה"ל is a letter's neighbour.
_TOKEN: Final = regex.compile(r'(?P<no>-)?(?:"(?P<phrase>[^"]*)"(?!\S)|(?P<word>\S+))')
_QUOTES: Final = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"'})
_FOUND: Final = regex.compile(r"[\p{L}\p{N}\p{S}\p{M}]")
_SEPARATORS_ONLY: Final = regex.compile(r"[\s_.\-]*")
_TRAILING: Final = ",;:!?…。、，"
_MOST_TERMS: Final = 24
_PREFIX: Final = 3

Stems = Mapping[str, Mapping[str, Set[str]]]
"""For every word its endings removed, by the languages that do so."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A word or a phrase that is in a job's names or in what was said in it; `excluded`: that is in neither."""

    text: str
    excluded: bool = False
    last: bool = False  # it may be the beginning of a word

    @property
    def in_names(self) -> list[str]:
        """The parts of names any of which is enough, as `shown` has them; none = it is not looked for in names."""
        whole = name_form(self.text)
        parts = [whole, whole.rstrip(_TRAILING), spaced(whole) if " " in spaced(whole) else ""]
        return [part for part in dict.fromkeys(parts) if part and not _SEPARATORS_ONLY.fullmatch(part)]

    @property
    def stemmed(self) -> str | None:
        """The word whose endings count, in the form for dictionaries; None = endings do not count."""
        words = WORD.findall(folded(self.text))
        if len(words) != 1 or " " in self.text or DENSE.search(words[0]) or sign(folded(self.text)) is not None:
            return None
        return str(words[0])[:WORD_LIMIT]

    def spoken(self, stems: Stems) -> str | None:
        """The tsquery on what was said; None = it cannot be said."""
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
    """Groups of conditions: all of a group must hold, for one group at least; no groups = nothing is found."""

    groups: list[list[Condition]] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """All words whose endings have to be looked up."""
        found = (condition.stemmed for group in self.groups for condition in group)
        return sorted({word for word in found if word})


def parsed(wanted: str) -> Query:
    """Return what a person means; everything is a search, and punctuation alone finds nothing."""
    groups: list[list[Condition]] = [[]]
    tokens = list(_tokens(wanted))[:_MOST_TERMS]
    for number, token in enumerate(tokens):
        if token.text.casefold() == "or" and not token.excluded and groups[-1] and number + 1 < len(tokens):
            groups.append([])
        else:
            groups[-1].append(token)
    return Query([kept for group in groups if (kept := _meant(group))])


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


def _meant(group: list[Condition]) -> list[Condition]:
    """Leave out a dash or an ampersand between words."""
    words = [condition for condition in group if _FOUND.search(condition.text)]
    return words or [condition for condition in group if condition.in_names]


def tsquery(terms: Iterable[str]) -> str:
    """The condition that all terms are there, as PostgreSQL reads it."""
    return " & ".join(map(_quoted, terms))


def _all_of(runs: Iterable[str]) -> list[str]:
    """Words in their order, and everything that is written without spaces."""
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
