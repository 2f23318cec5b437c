"""User names and addresses in the form in which they are compared and counted."""

import unicodedata


def username_key(username: str) -> str:
    """The name as it is compared: compatibility forms folded, case and surrounding space ignored."""
    return unicodedata.normalize("NFKC", username).casefold().strip()
