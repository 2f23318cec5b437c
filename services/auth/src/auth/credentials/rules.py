"""Rules for new passwords: a minimum length, and no commonly guessed password.

There are no rules about kinds of characters: they make passwords worse.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from auth.errors import WeakPassword

from .names import username_key

MIN_LENGTH = 8
MAX_LENGTH = 1024
SERVICE_NAME = "verbatim"
#: Shorter parts of a user name occur in too many good passwords.
SHORTEST_PART = 4
#: With more digits and signs around it, a word is only a part of the secret.
MOST_ADDED = 6
_PADDING = "0123456789!?.,:;*#$%&+-_=@/()\"' "
# Signs and digits used in place of letters; 1 and ! each replace one of two letters.
_LEET = ({"1": "i", "!": "i"}, {"1": "l", "!": "l"})
_LEET_ALWAYS = {"4": "a", "@": "a", "8": "b", "3": "e", "6": "g", "9": "g", "0": "o", "$": "s", "5": "s", "7": "t"}
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiopü", "azertyuiop")


def check(password: str, username: str) -> None:
    """Raise WeakPassword with the reason if the user may not have this password."""
    if len(password) < MIN_LENGTH:
        raise WeakPassword(f"A password must have at least {MIN_LENGTH} characters.")
    if len(password) > MAX_LENGTH:
        raise WeakPassword(f"A password must have at most {MAX_LENGTH} characters.")
    plain = username_key(password)
    guesses = frozenset(_guesses(plain))
    if guesses & _context(username):
        raise WeakPassword(
            "The password must not be the user name, a part of it or the name of this service, and no variant of them: "
            "reversed, with digits and signs around it, or with signs in place of letters."
        )
    if len(set(plain)) < 4 or _is_run(plain):
        raise WeakPassword("The password must not be one character repeated, or a row of the keyboard.")
    if guesses & _common():
        raise WeakPassword(
            "This is one of the most common passwords, or a variant of one with common changes of digits, signs or "
            "letters. Choose another password."
        )


def _guesses(plain: str) -> Iterator[str]:
    """The words from which the usual guessing rules derive the password."""
    start, end = _core(plain)
    for written in (plain, *(plain.translate(_table(leet)) for leet in _LEET)):
        for word in (written, written[start:end]):
            once = word[: len(word) // 2]
            for guess in {word, once if once * 2 == word else word}:
                yield guess
                yield guess[::-1]


def _core(plain: str) -> tuple[int, int]:
    """Start and end of the word to which a few digits and signs, or a row of digits, were added."""
    start, end = len(plain) - len(plain.lstrip(_PADDING)), len(plain.rstrip(_PADDING))
    added = plain[:start] + plain[end:]
    return (start, end) if len(added) <= MOST_ADDED or _is_run(added) else (0, len(plain))


def _table(leet: dict[str, str]) -> dict[int, str]:
    return str.maketrans(_LEET_ALWAYS | leet)


def _context(username: str) -> frozenset[str]:
    """The user name as a whole, before its @, and its parts; the name of this service."""
    name = username_key(username)
    local = name.partition("@")[0]
    parts = {part for part in re.split(r"[\W_\d]+", name) if len(part) >= SHORTEST_PART}
    whole = {name, local, *(re.sub(r"[\W_]+", "", each) for each in (name, local)), SERVICE_NAME}
    # The password is compared without digits and signs at its ends, and with letters in place of signs.
    return frozenset(word for each in whole | parts for word in _guesses(each) if word)


def _is_run(text: str) -> bool:
    return any(text in row * 3 or text in row[::-1] * 3 for row in _ROWS)


@cache
def _common() -> frozenset[str]:
    """30,000 leaked passwords and first names from zxcvbn, and those in common_passwords.txt."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415 (15 MB, needed only when a password is set)

    leaked = (word for name in ("passwords", "male_names", "female_names") for word in FREQUENCY_LISTS[name])
    listed = files(__package__).joinpath("common_passwords.txt").read_text(encoding="utf-8")
    own = (line for line in listed.splitlines() if line and not line.startswith("#"))
    # Words below four characters would match almost every password.
    return frozenset(word for word in (*leaked, *own) if len(word) >= SHORTEST_PART)
