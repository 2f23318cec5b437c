"""Which new passwords are accepted: long enough, and not among the first that somebody would guess.

There are no rules about which characters a password is made of: they make passwords worse, not better.
"""

from functools import cache
from importlib.resources import files

from .errors import WeakPassword
from .names import username_key

MIN_LENGTH = 8
MAX_LENGTH = 1024
SERVICE_NAME = "verbatim"
_SIGNS = "!?.,*#$%&+-_ "
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiopü", "azertyuiop")


def check(password: str, username: str) -> None:
    """Raise WeakPassword, with the reason, unless the user may have this password."""
    if len(password) < MIN_LENGTH:
        raise WeakPassword(f"A password must have at least {MIN_LENGTH} characters.")
    if len(password) > MAX_LENGTH:
        raise WeakPassword(f"A password must have at most {MAX_LENGTH} characters.")
    plain = password.casefold().strip()
    # A number or a sign at the end is the first thing that is tried.
    unsigned = plain.rstrip(_SIGNS)
    guesses = {plain, unsigned, unsigned.rstrip(_SIGNS + "0123456789")}
    if guesses & {username_key(username), SERVICE_NAME}:
        raise WeakPassword("The password must not be the user name or the name of this service.")
    if guesses & _common():
        raise WeakPassword("This is one of the most common passwords; choose another one.")
    if len(set(plain)) < 4 or _is_run(plain):
        raise WeakPassword("A password must not be one character repeated, or a row of the keyboard.")


def _is_run(text: str) -> bool:
    return any(text in row * 3 or text in row[::-1] * 3 for row in _ROWS)


@cache
def _common() -> frozenset[str]:
    listed = files(__package__).joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in listed.splitlines() if line and not line.startswith("#"))
