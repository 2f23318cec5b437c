"""User names: the stored form, and which names are refused."""

import pytest

from auth.credentials.names import proper, username_key


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("ada", "ada"),
        ("  Ada   Lovelace ", "Ada Lovelace"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("\u5f20\u4f1f", "\u5f20\u4f1f"),
        ("\u0938\u0940\u0924\u093e", "\u0938\u0940\u0924\u093e"),
        ("grace@example.org", "grace@example.org"),
        ("o'neil-7", "o'neil-7"),
    ],
)
def test_name_is_stored_composed_and_with_single_spaces(given: str, stored: str) -> None:
    assert proper(given) == stored


INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u115f\u1160\u17b4\u180e\u180f\u2800\u3164\uffa0\ufe0f"
INVISIBLE += "\U000e0100\U000e0041"
CONTROLS = "\0\a\b\t\n\r\x1b\x7f\x85\u2028\u2029\u202a\u202e\u2066\u2069\u061c"
SPACES = "\u00a0\u2002\u2009\u3000\u1680"


@pytest.mark.parametrize(
    "name", ["", " ", "   ", "...", "\u0301", "-_-", *INVISIBLE, *SPACES, INVISIBLE, " \u2800 \u3164"]
)
def test_blank_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must not be blank"):
        proper(name)


@pytest.mark.parametrize("character", [*INVISIBLE, *CONTROLS, *SPACES])
def test_invisible_character_is_refused_anywhere_in_a_name(character: str) -> None:
    with pytest.raises(ValueError, match="must not contain invisible"):
        proper(f"ad{character}a")


def test_accent_without_a_letter_is_refused() -> None:
    with pytest.raises(ValueError, match="accent"):
        proper("\u0301ada")


@pytest.mark.parametrize("other", ["ADA", "\uff41\uff44\uff41", " ada ", "\u24d0da", "A\u0064a"])
def test_names_that_differ_only_in_form_or_case_are_equal(other: str) -> None:
    assert username_key(other) == username_key("ada")
