"""User names: the stored form, the normalised form for comparison, and which names are refused."""

import re
import unicodedata

# Characters that Python calls printable but that are invisible: Unicode's default ignorable ones besides the format
# characters (joiners, fillers, variation selectors), and the Braille blank.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)


def username_key(username: str) -> str:
    """The normalised name: compatibility forms and case folded, surrounding space removed."""
    return unicodedata.normalize("NFKC", username).casefold().strip()


def proper(username: str) -> str:
    """The name of a new account in NFC with single spaces; raises ValueError if it has invisible characters."""
    name = unicodedata.normalize("NFC", username).strip()
    seen = _INVISIBLE.sub("", name).strip()
    if not any(unicodedata.category(character)[0] in "LN" for character in seen):
        raise ValueError("a user name must not be blank: it needs at least one letter or digit that can be seen")
    if not name.isprintable() or seen != name:
        raise ValueError(
            "a user name must not contain invisible characters: control or format characters, fillers, unusual spaces"
        )
    if unicodedata.combining(name[0]):
        raise ValueError("a user name must not begin with an accent that belongs to no letter")
    return re.sub(" +", " ", name)


def storable(text: str) -> str:
    """The text unchanged; raises ValueError if it contains U+0000, which PostgreSQL does not store."""
    if "\0" in text:
        raise ValueError("must not contain the character U+0000")
    return text
