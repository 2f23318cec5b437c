"""Keywords of transcripts."""

import logging
from itertools import pairwise

import pytest

from metadata.text import keywords
from metadata.text.keywords import extract, stop_words

ENGLISH = (
    "The printing press changed Europe. Before the printing press, books were copied by hand, and books were rare. "
    "Gutenberg built the printing press in Mainz. The Gutenberg Bible is the best known of his books."
)

CHINESE = (
    "人工智能正在改变我们的生活。很多公司都在研究人工智能。医生说，人工智能很有用。"
    "机器学习是人工智能的基础，机器学习需要大量的数据。"
)
JAPANESE = (
    "人工知能は私たちの生活を変えています。多くの会社が人工知能の研究をしています。"
    "データが多いほど機械学習の精度が上がります。機械学習とデータは大切です。"
)
KOREAN = (
    "인공지능은 생활을 바꾸고 있습니다. 많은 회사가 인공지능을 연구합니다. "
    "기계학습과 데이터는 중요합니다. 데이터가 많을수록 기계학습의 정확도가 올라갑니다."
)


def words(text: str, language: str | None, limit: int = 10) -> list[str]:
    return [found.keyword for found in extract(text, language, limit)]


def test_terms_come_before_single_words_and_without_function_words() -> None:
    found = words(ENGLISH, "en")
    assert found[0] == "printing press"
    assert "Gutenberg" in found
    assert not {"the", "of", "was", "is"} & {word.lower() for word in found}


def test_scores_are_relative_to_the_best_and_descend() -> None:
    scores = [found.score for found in extract(ENGLISH, "en", 10)]
    assert scores[0] == max(scores) == 1.0
    assert all(earlier >= later > 0 for earlier, later in pairwise(scores))


def test_the_same_text_gives_the_same_keywords() -> None:
    assert extract(ENGLISH, "en", 10) == extract(ENGLISH, "en", 10)


def test_a_word_with_two_endings_is_listed_once() -> None:
    found = words("The letter was cut in steel. Letters were cast in lead, and every letter was set by hand.", "en")
    assert len({"letter", "letters", "Letters"} & set(found)) == 1


def test_limit_is_kept() -> None:
    assert len(words(ENGLISH, "en", 3)) == 3


@pytest.mark.parametrize(
    ("language", "text", "expected", "unwanted"),
    [
        ("de", "Die Eisenbahn kam. Die Eisenbahn und die Stadt: ohne die Eisenbahn keine Stadt.", "eisenbahn", "die"),
        ("cs", "Železnice spojuje města. Ale železnice je stará a železnice je pomalá.", "železnice", "ale"),
        ("ru", "Железная дорога растёт. Железная дорога нужна, и города растут.", "железная дорога", "и"),
        ("pt", "A ferrovia liga as cidades. A ferrovia é antiga, mas a ferrovia ainda funciona.", "ferrovia", "mas"),
    ],
)
def test_keywords_depend_on_the_language(language: str, text: str, expected: str, unwanted: str) -> None:
    found = [word.lower() for word in words(text, language)]
    assert expected in found
    assert unwanted not in found


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("zh", CHINESE, {"人工智能", "机器学习"}),
        ("ja", JAPANESE, {"人工知能", "機械学習", "データ"}),
        ("ko", KOREAN, {"인공지능", "기계학습", "데이터"}),
    ],
)
def test_scripts_without_spaces_give_whole_words(language: str, text: str, expected: set[str]) -> None:
    assert set(words(text, language, len(expected))) == expected


def test_a_part_of_a_longer_word_is_no_keyword() -> None:
    assert not {"人工", "工智", "智能", "工智能"} & set(words("人工智能很好。人工智能不难，人工智能有用。", "zh"))


def test_latin_names_inside_chinese_are_found() -> None:
    assert "Whisper" in words("我用 Whisper 转写。Whisper 很快，Whisper 是免费的。", "zh")


def test_unsupported_script_gives_no_keywords() -> None:
    assert words("สวัสดีครับ วันนี้เราจะพูดเรื่องรถไฟ รถไฟเร็วมาก", "th") == []


@pytest.mark.parametrize("text", ["", " ", "♪ ♪ ♪", "Hm.", "1 2 3", "?!"])
@pytest.mark.parametrize("language", ["en", "zh", "xx", None])
def test_text_without_content_gives_no_keywords(text: str, language: str | None) -> None:
    assert words(text, language) == []


def test_common_words_of_a_language_without_a_list_come_from_the_text() -> None:
    text = " ".join(f"Mae y llyfrgell{number} yn yr ardal ac mae hi'n brysur." for number in range(40))
    common = stop_words("cy", text)
    assert {"mae", "y", "yn", "yr", "ac"} <= common
    assert "brysur" not in common  # a long word is content at any frequency


def test_breton_does_not_get_the_brazilian_list() -> None:
    assert "não" not in stop_words("br", "Demat deoc'h")
    assert "não" in stop_words("pt", "")


def test_failed_extraction_logs_no_text(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)

    def stumble(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("yake.core.yake.DataCore", stumble)
    assert keywords.extract("my secret is out", "en", 5) == []
    assert "secret" not in caplog.text
