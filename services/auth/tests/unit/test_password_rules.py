"""Rules for new passwords."""

import pytest

from auth.credentials.rules import MAX_LENGTH, MIN_LENGTH, check
from auth.errors import WeakPassword


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "at least 8"),
        ("x" * (MAX_LENGTH + 1), "at most"),
        ("password", "most common"),
        ("PassWord", "most common"),
        ("Password2026!", "most common"),
        ("trustno1!", "most common"),
        ("P@$$w0rd", "most common"),
        ("dr0wssap", "most common"),
        ("drowssap2026", "most common"),
        ("2026sunshine", "most common"),
        ("1qaz2wsx", "most common"),
        ("iloveyou!!", "most common"),
        ("MICHAEL1999", "most common"),
        ("dragon12345678", "most common"),
        ("passwort1!", "most common"),
        ("monkeymonkey", "most common"),
        ("Ｐａｓｓｗｏｒｄ１", "most common"),
        ("welcome1", "most common"),
        ("ada.lovelace", "user name"),
        ("Ada.Lovelace1", "user name"),
        ("ada.lovelace", "part of it"),
        ("lovelace", "user name"),
        ("L0vel4ce2026!", "user name"),
        ("ecalevol.ada", "user name"),
        ("adalovelace99", "user name"),
        ("!!lovelace!!", "user name"),
        ("ADA.LOVELACE", "user name"),
        ("verbatim", "name of this service"),
        ("m1tabrev99", "name of this service"),
        ("V3rb4t!m2026", "name of this service"),
        ("verbatimverbatim", "name of this service"),
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
        "love#928374650192",
        "verbatim records every word",
        "lovelace and the engine",
    ],
)
def test_other_passwords_are_accepted_with_any_characters(password: str) -> None:
    check(password, "ada")


def test_local_part_of_a_mail_address_counts_as_user_name() -> None:
    for password in ("grace.hopper", "Gr4ceHopper1", "reppoh.ecarg", "grace.hopper@example.org"):
        with pytest.raises(WeakPassword, match="user name"):
            check(password, "grace.hopper@example.org")
    check("an example nobody uses", "grace.hopper@example.org")


def test_thousands_of_common_passwords_are_refused() -> None:
    """Check a sample of the whole list."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415 (imported lazily, as in the rules)

    long_enough = [word for word in FREQUENCY_LISTS["passwords"] if len(word) >= MIN_LENGTH]
    assert len(long_enough) > 3000
    for word in long_enough:
        with pytest.raises(WeakPassword):
            check(word, "ada")
