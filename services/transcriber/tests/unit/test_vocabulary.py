"""Our vocabulary gives the tokens of openai-whisper's tokenizer."""

from pathlib import Path
from typing import Any

import pytest

from models import Format, default_dir, is_present
from transcriber.engines.base import LanguageUnsupported, ModelUnavailable
from transcriber.engines.vocabulary import Vocabulary

# openai-whisper's tokenizer leaves its vocabulary file open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file.*tiktoken:ResourceWarning")

TEXTS = [
    " Well-known facts aren't always true: 3.5% of them, at most!",
    " “Straße”, naïve café — 12,000 €…",
    " Привет, как дела?",
    " 今日はいい天気ですね。東京都に住んでいます。",
    " 𝔘nusual 🙂 letters",
]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    if not is_present(default_dir(), "base", Format.CT2):
        pytest.skip("base is not in MODEL_DIR: python -m models get base")
    return Vocabulary.of_folder(default_dir() / "base")


def theirs(language: str = "en") -> Any:
    tokenizer = pytest.importorskip("whisper.tokenizer")
    return tokenizer.get_tokenizer(True, num_languages=99, language=language, task="transcribe")


@pytest.mark.weights
@pytest.mark.torch
@pytest.mark.parametrize("text", TEXTS)
def test_texts_have_the_same_tokens(vocabulary: Vocabulary, text: str) -> None:
    tokens = vocabulary.encode(text)
    assert tokens == theirs().encode(text)
    assert vocabulary.decode(tokens) == text


@pytest.mark.weights
@pytest.mark.torch
@pytest.mark.parametrize(("language", "text"), [("en", TEXTS[0]), ("de", TEXTS[1]), ("ru", TEXTS[2]), ("ja", TEXTS[3])])
def test_words_are_the_same(vocabulary: Vocabulary, language: str, text: str) -> None:
    tokens = vocabulary.encode(text)
    words, pieces = theirs(language).split_to_word_tokens(tokens)
    assert vocabulary.split_words(tokens, language) == list(zip(words, map(len, pieces), strict=True))


@pytest.mark.weights
@pytest.mark.torch
def test_the_decoder_starts_from_the_same_tokens(vocabulary: Vocabulary) -> None:
    expected = [*theirs("de").sot_sequence, theirs().no_timestamps]
    assert vocabulary.prompt("de", "transcribe", None) == expected
    prompted = vocabulary.prompt("de", "transcribe", "  Guten Tag ")
    assert prompted == [theirs().sot_prev, *theirs().encode(" Guten Tag"), *expected]


@pytest.mark.weights
def test_of_a_long_prompt_the_end_counts(vocabulary: Vocabulary) -> None:
    prompted = vocabulary.prompt("en", "transcribe", "word " * 400 + "finally")
    assert len(prompted) == 1 + 223 + 4
    assert vocabulary.decode(prompted).endswith("word finally")


@pytest.mark.weights
def test_an_unknown_language_is_refused(vocabulary: Vocabulary) -> None:
    assert "de" in vocabulary.languages
    assert len(vocabulary.languages) == 99
    with pytest.raises(LanguageUnsupported, match="'tlh'"):
        vocabulary.start_sequence("tlh", "transcribe")


def english_only() -> Vocabulary:
    control = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|translate|>", "<|notimestamps|>"]
    return Vocabulary(["a", "b", "ab", "Ġ", "Ġa", *control])


def test_an_english_only_vocabulary_takes_no_language_token() -> None:
    vocabulary = english_only()
    assert vocabulary.languages == ("en",)
    assert vocabulary.start_sequence("en", "transcribe") == [6]
    for language, task in (("de", "transcribe"), ("en", "translate")):
        with pytest.raises(LanguageUnsupported, match="only transcribes English"):
            vocabulary.start_sequence(language, task)  # type: ignore[arg-type]


def test_a_partial_character_is_not_a_word() -> None:
    # "é" is two bytes, and here two tokens.
    vocabulary = Vocabulary(["Ã", "©", "Ġ", "x", "<|endoftext|>", "<|startoftranscript|>", "<|translate|>"])
    assert vocabulary.split_words([3, 0, 1, 2, 0, 1], "en") == [("xé", 3), (" é", 3)]
    assert vocabulary.split_words([3, 0], "en") == [("x�", 2)]


def test_older_folders_list_their_vocabulary_as_text(tmp_path: Path) -> None:
    tokens = ["a", "b", "ab", "<|endoftext|>", "<|startoftranscript|>", "<|translate|>"]
    (tmp_path / "vocabulary.txt").write_text("\n".join(tokens) + "\n")
    assert Vocabulary.of_folder(tmp_path).encode("abba") == [2, 1, 0]
    (tmp_path / "vocabulary.txt").write_text("nothing useful")
    with pytest.raises(ModelUnavailable):
        Vocabulary.of_folder(tmp_path)
