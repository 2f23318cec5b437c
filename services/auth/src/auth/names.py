"""User names and addresses in the form in which they are compared and counted."""

import unicodedata


def username_key(username: str) -> str:
    """The name as it is compared: compatibility forms folded, case and surrounding space ignored."""
    return unicodedata.normalize("NFKC", username).casefold().strip()


def proper(username: str) -> str:
    """A new account's name without surrounding space; raises ValueError if it is empty or cannot be seen as written."""
    name = unicodedata.normalize("NFC", username).strip()
    if not username_key(name):
        raise ValueError("a user name must not be empty")
    if not name.isprintable():
        raise ValueError("a user name must not contain control characters")
    return name


def storable(text: str) -> str:
    """The text itself; raises ValueError if it holds the character that no database column takes."""
    if "\0" in text:
        raise ValueError("must not contain the character U+0000")
    return text
