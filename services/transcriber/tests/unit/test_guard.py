"""Doubtful texts are noticed, and the best of several tries is kept."""

from transcriber.engines.guard import Decoded, settle


def decoded(text: str, *, seconds: float = 10.0, logprob: float = -0.2, no_speech: float = 0.01) -> Decoded:
    return Decoded((1, 2, 3) if text else (), text, seconds, logprob, no_speech)


SENTENCE = "The committee met on Tuesday and agreed to postpone the vote until the report has been read by everyone."


def test_plain_speech_is_believed() -> None:
    assert not decoded(SENTENCE).is_doubtful


def test_a_loop_is_doubted() -> None:
    assert decoded("so it goes on and " * 20, seconds=30).is_doubtful


def test_dropped_text_is_doubted() -> None:
    assert decoded("The committee met", seconds=28).is_doubtful
    assert decoded("", seconds=28).is_doubtful


def test_a_short_answer_in_a_short_window_is_believed() -> None:
    assert not decoded("Yes.", seconds=1.0).is_doubtful


def test_an_unsure_text_is_doubted() -> None:
    assert decoded(SENTENCE, logprob=-1.4).is_doubtful


def test_silence_is_not_tried_again_and_says_nothing() -> None:
    heard = decoded("you", seconds=5, logprob=-0.5, no_speech=0.93)
    assert not heard.is_doubtful
    assert settle([heard]).text == ""
    assert settle([heard]).tokens == ()


def test_of_several_tries_the_complete_one_without_a_loop_is_kept() -> None:
    loop = decoded("again and again and " * 20, logprob=-0.1)
    dropped = decoded("The", logprob=-0.1)
    whole = decoded(SENTENCE, logprob=-0.9)
    assert settle([loop, dropped, whole]) == whole


def test_of_equal_tries_the_first_is_kept() -> None:
    first, second = decoded(SENTENCE), decoded(SENTENCE)
    assert settle([first, second]) is first
