"""The stored terms of names and spoken words."""

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Final

import regex

from .folding import bare, folded, letters

DICTIONARIES: Final = MappingProxyType(
    {
        "ar": "arabic_stem",
        "ca": "catalan_stem",
        "da": "danish_stem",
        "de": "german_stem",
        "el": "greek_stem",
        "en": "english_stem",
        "es": "spanish_stem",
        "eu": "basque_stem",
        "fi": "finnish_stem",
        "fr": "french_stem",
        "hi": "hindi_stem",
        "hu": "hungarian_stem",
        "hy": "armenian_stem",
        "id": "indonesian_stem",
        "it": "italian_stem",
        "lt": "lithuanian_stem",
        "ne": "nepali_stem",
        "nl": "dutch_stem",
        "no": "norwegian_stem",
        "pt": "portuguese_stem",
        "ro": "romanian_stem",
        "ru": "russian_stem",
        "sr": "serbian_stem",
        "sv": "swedish_stem",
        "ta": "tamil_stem",
        "tr": "turkish_stem",
        "yi": "yiddish_stem",
    }
)
"""PostgreSQL's stemming dictionaries by language code; other languages are searched without stemming."""

# Scripts without spaces between words, and Korean, whose words include their particles.
_DENSE: Final = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
    r"\p{Javanese}\p{Balinese}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}ーｰ々〇]"
)
DENSE: Final = regex.compile(_DENSE)
_ALL_DENSE: Final = regex.compile(f"{_DENSE}+")
WORD: Final = regex.compile(r"[\p{L}\p{M}\p{N}]+")
SPACED: Final = regex.compile(rf"(?:(?!{_DENSE})[\p{{L}}\p{{M}}\p{{N}}])+")
HANGUL: Final = regex.compile(r"\p{Hangul}+")
_SEPARATORS: Final = regex.compile(r"[\s_.\-]+")
_SYMBOLS: Final = regex.compile(r"[#@%&*§\p{S}]")
# Punctuation around a word, without the signs that are part of it: C++, #budget, 100%.
_AROUND: Final = regex.compile(r"^(?:(?![#@%&*§])\p{P})+|(?:(?![#@%&*§])\p{P})+$")

WORD_LIMIT: Final = 64
_NAMES_LIMIT: Final = 4000
# PostgreSQL stores up to a megabyte of terms per row; stems and keywords need a part of it.
_SPOKEN_LIMIT: Final = 600_000
GRAM: Final = 3


def shown(names: Iterable[str]) -> str:
    """Return file name and tags in their comparable form, one line each.

    A name with separators has a second line with spaces instead, so that `smith jones` matches `Smith-Jones.wav`.
    """
    lines = [name_form(name) for name in names]
    return "\n".join(dict.fromkeys([*lines, *(spaced(line) for line in lines)]))[:_NAMES_LIMIT]


def name_form(name: str) -> str:
    """Return a name, or a part of one, in its comparable form; it may be empty."""
    return " ".join(bare(letters(folded(name))).split())


def spaced(name: str) -> str:
    """Return a name with its separators as spaces."""
    return str(_SEPARATORS.sub(" ", name)).strip()


def name_grams(lines: str) -> list[str]:
    """Return every sequence of up to three characters in the lines of `shown`."""
    return sorted({gram for line in lines.split("\n") for gram in grams(line, range(1, GRAM + 1))})


def wanted_grams(part: str) -> list[str]:
    """Return the sequences of characters that every line with this part contains."""
    return sorted(set(grams(part, [min(GRAM, len(part))])))


def grams(text: str, lengths: Iterable[int]) -> Iterator[str]:
    """Return all sequences of characters of these lengths."""
    for length in lengths:
        for start in range(len(text) - length + 1):
            yield text[start : start + length]


def dense_grams(run: str, lengths: Iterable[int]) -> Iterator[str]:
    """Return the sequences in a run of letters that contain a letter of a script without spaces."""
    found = grams(run, lengths)
    return found if _ALL_DENSE.fullmatch(run) else (gram for gram in found if DENSE.search(gram))


def pair(first: str, second: str) -> str:
    """Return the term of two consecutive words; it starts with a space, unlike any word."""
    return f" {first} {second}"


def sign(token: str) -> str | None:
    """Return a token with a sign, such as `c++` or `100%`, without its punctuation; None without a sign."""
    if not _SYMBOLS.search(token):
        return None
    inner = _AROUND.sub("", token)
    words = WORD.findall(inner)
    return inner[:WORD_LIMIT] if len(words) < 2 and inner not in ("", *words) else None


def marker(language: str) -> str:
    """Return the term that marks transcripts whose words are stemmed in this language."""
    return f"=l:{language}"


def spoken_terms(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the terms of a transcript, as many as fit a row, and its words in the form for dictionaries.

    Terms are words, pairs of consecutive words, tokens with signs, and, for scripts without spaces, every
    sequence of up to three characters.
    """
    terms: dict[str, None] = {}
    words: dict[str, None] = {}
    size = 0
    before = ""
    for token in (token for text in texts for token in folded(text).split()):
        found, before = _of_token(token, before, words)
        for term in found:
            if term not in terms:
                terms[term] = None
                size += len(term.encode()) + 1
        if size > _SPOKEN_LIMIT:
            break
    return list(terms), list(words)


def beginning(letter: str) -> str:
    """Return the term of Korean words that start with this syllable."""
    return f"^{letter}"


def _of_token(token: str, before: str, words: dict[str, None]) -> tuple[list[str], str]:
    """Return the terms of a token and its last word, given the word before it; adds to the words for dictionaries."""
    found = []
    if (signed := sign(token)) is not None:
        found.append(letters(signed))
    for run in WORD.findall(token):
        spoken = [run]
        if not run.isascii() and DENSE.search(run):
            found += dense_grams(letters(run), range(1, GRAM + 1))
            found += [beginning(part[0]) for part in HANGUL.findall(run)]
            spoken = SPACED.findall(run)
            before = before if spoken else ""
        for word in spoken:
            words[word[:WORD_LIMIT]] = None
            plain = letters(word)[:WORD_LIMIT]
            found += dict.fromkeys([plain, bare(plain)])
            if before:
                found += dict.fromkeys([pair(before, plain), pair(bare(before), bare(plain))])
            before = plain
    return [term for term in found if term], before
