"""Languages are understood however people and programs name them."""

import pytest

from models import LANGUAGE_CODES
from models.languages import UnknownLanguage, language_code, language_for, languages_of


@pytest.mark.parametrize("code", LANGUAGE_CODES)
def test_whispers_own_codes_stay(code: str) -> None:
    assert language_code(code) == code


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        *(("eng", "en"), ("deu", "de"), ("ger", "de"), ("fra", "fr"), ("fre", "fr"), ("zho", "zh"), ("chi", "zh")),
        *(("nld", "nl"), ("dut", "nl"), ("ell", "el"), ("gre", "el"), ("fas", "fa"), ("per", "fa"), ("sqi", "sq")),
        *(("alb", "sq"), ("cym", "cy"), ("wel", "cy"), ("ces", "cs"), ("cze", "cs"), ("mya", "my"), ("bur", "my")),
        *(("iw", "he"), ("in", "id"), ("ji", "yi"), ("jw", "jw"), ("jv", "jw"), ("jav", "jw"), ("mo", "ro")),
        *(("nb", "no"), ("nob", "no"), ("nor", "no"), ("nn", "nn"), ("nno", "nn"), ("fil", "tl"), ("tgl", "tl")),
        *(("cmn", "zh"), ("yue", "yue"), ("zh-yue", "yue"), ("arb", "ar"), ("arz", "ar"), ("pes", "fa"), ("swh", "sw")),
        *(("zsm", "ms"), ("azj", "az"), ("ekk", "et"), ("lvs", "lv"), ("npi", "ne"), ("plt", "mg"), ("sh", "sr")),
        *(("zh-TW", "zh"), ("zh-Hans", "zh"), ("zh_Hant_HK", "zh"), ("pt-BR", "pt"), ("en_US", "en"), ("EN-gb", "en")),
        *(("sr-Latn", "sr"), ("es-419", "es"), ("de-CH-1996", "de"), ("nb-NO", "no"), ("iw-IL", "he")),
        *(("German", "de"), ("deutsch", "de"), ("FRANÇAIS", "fr"), ("Franc\u0327ais", "fr"), ("日本語", "ja")),
        *(("mandarin", "zh"), ("Haitian Creole", "ht"), ("haitian_creole", "ht"), ("valencian", "ca"), (" ru ", "ru")),
    ],
)
def test_other_codes_and_names_are_understood(asked: str, code: str) -> None:
    assert language_code(asked) == code


@pytest.mark.parametrize(
    "asked", ["xx", "langauge", "", "e", "und", "mul", "zxx", "tlh", "german!", "en;de", "x" * 5000]
)
def test_what_is_no_known_language_is_refused_with_the_list(asked: str) -> None:
    with pytest.raises(UnknownLanguage) as refused:
        language_code(asked)
    assert "en, es" in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_a_slip_gets_a_hint() -> None:
    with pytest.raises(UnknownLanguage, match="Do you mean german"):
        language_code("germn")


def test_models_know_different_languages() -> None:
    assert languages_of("tiny.en") == languages_of("mine.en") == ("en",)
    assert language_for("large-v3", "zh-yue") == "yue"
    for model, asked in (("tiny.en", "de"), ("base", "yue")):
        with pytest.raises(UnknownLanguage, match=f"The model {model} does not know the language"):
            language_for(model, asked)
