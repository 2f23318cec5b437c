"""New passwords: long enough and not guessed first, and no other rules."""

import pytest

from auth.errors import WeakPassword
from auth.password_rules import MAX_LENGTH, check


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "at least 8"),
        ("x" * (MAX_LENGTH + 1), "at most"),
        ("password", "most common"),
        ("PassWord", "most common"),
        ("Password2026!", "most common"),
        ("trustno1!", "most common"),
        ("welcome1", "most common"),
        ("ada.lovelace", "user name"),
        ("Ada.Lovelace1", "user name"),
        ("verbatim", "name of this service"),
        ("Verbatim!", "name of this service"),
        ("aaaaaaaaaaaa", "repeated"),
        ("abababababab", "repeated"),
        ("34567890", "row of the keyboard"),
        ("hgfedcba", "row of the keyboard"),
        ("poiuytrewq", "row of the keyboard"),
    ],
)
def test_weak_password_is_refused_with_the_reason(password: str, reason: str) -> None:
    with pytest.raises(WeakPassword, match=reason):
        check(password, "Ada.Lovelace")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "kx7!wq2p",
        "übergrößen",
        "  spaces count  ",
        "all lower case and long",
        "密码密码安全安全",
    ],
)
def test_other_passwords_are_accepted_whatever_they_are_made_of(password: str) -> None:
    check(password, "ada")
