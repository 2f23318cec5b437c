"""Join pieces of text with or without a space, as their scripts require."""

import unicodedata
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import Final


class Script(Enum):
    """The way in which a script separates words."""

    SPACED = "spaced"  # Latin, Cyrillic, Arabic, Devanagari, Hangul and most others
    WIDE = "wide"  # Chinese and Japanese: characters as wide as they are high, no spaces
    CLOSE = "close"  # Thai, Lao, Khmer, Burmese and Tibetan: no spaces between words


# By the first word of a character's Unicode name, which is the name of its script.
_SCRIPTS: Final = dict.fromkeys(
    ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH", "YI"), Script.WIDE
) | dict.fromkeys(("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"), Script.CLOSE)


def joined(pieces: Iterable[str]) -> str:
    """Join pieces of running text; the characters at each seam decide about the space, not the language of the text."""
    parts: list[str] = []
    for piece in filter(None, map(str.strip, pieces)):
        parts += [separator(parts[-1], piece), piece] if parts else [piece]
    return "".join(parts)


def separator(before: str, after: str) -> str:
    """The separator of two pieces of running text: a space or nothing."""
    # The glyphs of 。 and 「 include their space.
    if _is_wide_mark(before[-1:]) or _is_wide_mark(after[:1]):
        return ""
    left = next((letter for letter in reversed(before) if _is_letter(letter)), "")
    right = next((letter for letter in after if _is_letter(letter)), "")
    scripts = {script(letter) for letter in (left, right) if letter}
    if len(scripts) == 1:
        return " " if Script.SPACED in scripts else ""
    # A foreign word has no spaces around it in Chinese and Japanese, but has in Thai and Korean.
    touching = before[-1:] == left and after[:1] == right
    in_chinese = Script.WIDE in scripts and not _is_hangul(left) and not _is_hangul(right)
    return "" if touching and in_chinese else " "


@lru_cache(maxsize=4096)
def script(letter: str) -> Script:
    """The way in which the script of a character separates words."""
    return _SCRIPTS.get(unicodedata.name(letter, "").replace("-", " ").partition(" ")[0], Script.SPACED)


def _is_letter(character: str) -> bool:
    # The vowel signs and tone marks of Thai or Burmese are marks (M) by category, but letters to their readers.
    return unicodedata.category(character)[0] in "LN" or script(character) is Script.CLOSE


def _is_wide_mark(character: str) -> bool:
    return (
        bool(character)
        and unicodedata.east_asian_width(character) in "WF"
        and unicodedata.category(character)[0] in "PZ"
    )


def _is_hangul(character: str) -> bool:
    return unicodedata.name(character, "").startswith("HANGUL") if character else False
