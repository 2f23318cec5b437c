"""Normalization of spellings that a search treats as equal."""

import unicodedata
from typing import Final

import regex

_IGNORED: Final = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
_LATIN_AND_GREEK: Final = ((0xC0, 0x250), (0x370, 0x400), (0x1E00, 0x2000))


def folded(text: str) -> str:
    """Return text without differences of case, width, presentation, quotes, dashes and invisible characters.

    Letters become lower case in every script, full-width letters and ligatures become plain ones; joiners and soft
    hyphens are removed, accents stay. PostgreSQL's dictionaries receive words in this form.
    """
    if text.isascii():
        return text.lower()
    # A capital I with a dot would become an i and a dot of its own.
    plain = unicodedata.normalize("NFKC", text).replace("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i")
    shown: str = _IGNORED.sub("", unicodedata.normalize("NFKC", plain.casefold()))
    return shown.translate(_SHAPES)


def letters(text: str) -> str:
    """Return folded text without marks and variants that are optional or interchangeable in its language.

    Those are Arabic and Hebrew vowel signs, tatweel, the forms of alef, yeh, kaf and teh, the digits of all scripts,
    the Russian ё, the Turkish ı and stress marks.
    """
    return text if text.isascii() else text.translate(_VARIANTS)


def bare(text: str) -> str:
    """Return text without the accents of Latin and Greek letters: `müller` becomes `muller`."""
    return text if text.isascii() else text.translate(_ACCENTED)


def _digits() -> dict[int, str]:
    values = ((code, unicodedata.decimal(chr(code), None)) for code in range(0x80, 0x20000))
    return {code: str(value) for code, value in values if value is not None}


def _accented() -> dict[int, str | None]:
    table: dict[int, str | None] = {}
    for first, end in _LATIN_AND_GREEK:
        for code in range(first, end):
            base = unicodedata.normalize("NFD", chr(code))[0]
            if base != chr(code):
                table[code] = base
    return table | {ord(letter): base for letter, base in _STROKES.items()}


_STROKES: Final = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ŧ": "t"}
_REMOVED: Final = (
    *((0x300, 0x36F), (0x591, 0x5BD), (0x5BF, 0x5BF), (0x5C1, 0x5C2), (0x5C4, 0x5C5), (0x5C7, 0x5C7)),
    *((0x610, 0x61A), (0x640, 0x640), (0x64B, 0x65F), (0x670, 0x670), (0x6D6, 0x6DC), (0x6DF, 0x6ED)),
)
_SAME: Final = {
    "i": "ı",
    "е": "ё",
    "ا": "أإآٱ",
    "ي": "ىیې",
    "ك": "ک",
    "ه": "ةۀەہۃ",
}

_SHAPES: Final = str.maketrans(
    {
        **dict.fromkeys("’‘‛′׳ʼʻ`´", "'"),
        **dict.fromkeys("“”„‟״«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        "〜": "~",
    }
)
_VARIANTS: Final[dict[int, str | None]] = {
    **_digits(),
    **{code: None for first, last in _REMOVED for code in range(first, last + 1)},
    **{ord(variant): letter for letter, variants in _SAME.items() for variant in variants},
}
_ACCENTED: Final = _accented()
