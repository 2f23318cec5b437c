"""Results are merged into one transcript by their times, and the formats escape their texts."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.events import JobOptions
from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.decoding.timeline import Timeline
from transcriber.engines.base import WindowResult, Word
from transcriber.text.cues import cues
from transcriber.text.formats import FORMATS
from transcriber.text.line_breaks import LINE_WIDTH, columns, wrap
from transcriber.text.transcript import assemble, count_words

PLAN: dict[str, Any] = {"language": "en", "duration_seconds": 90.0, "speech_seconds": 40.0}
ENGINE = {"name": "canned", "version": "1", "model": "base", "model_digest": "0", "compute_type": "-", "device": "cpu"}


def word(text: str, start: float, end: float, probability: float = 0.9) -> dict[str, Any]:
    return {"word": text, "start": start, "end": end, "probability": probability}


def segment(text: str, start: float, end: float, words: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"text": text, "start": start, "end": end, "words": words or []}


def result(*segments: dict[str, Any]) -> dict[str, Any]:
    window = {
        "index": 0,
        "language": "en",
        "text": "",
        "avg_logprob": -0.5,
        "no_speech_prob": 0.1,
        "segments": list(segments),
    }
    return {"engine": ENGINE, "windows": [window]}


def transcript(*results: dict[str, Any], plan: dict[str, Any] = PLAN, **options: Any) -> dict[str, Any]:
    return assemble(plan, results, JobOptions(**options))


def written(name: str, document: dict[str, Any]) -> str:
    return FORMATS[name][0](document).decode("utf-8")


def test_results_are_merged_in_order_with_running_numbers() -> None:
    merged = transcript(result(segment("One.", 0, 1)), result(segment("Two.", 1, 2), segment("Three.", 5, 6)))
    assert [(each["id"], each["text"]) for each in merged["segments"]] == [(0, "One."), (1, "Two."), (2, "Three.")]
    assert merged["text"] == "One. Two. Three."
    assert merged["engine"] == ENGINE


def test_segments_never_overlap_nor_go_back() -> None:
    merged = transcript(result(segment("a", 0, 3), segment("b", 2, 2.5), segment("c", 2.6, 2.6), segment("d", 4, 5)))
    edges = [edge for each in merged["segments"] for edge in (each["start"], each["end"])]
    assert edges == sorted(edges)
    assert all(each["end"] > each["start"] for each in merged["segments"])


def test_words_are_kept_only_when_asked_for() -> None:
    spoken = result(segment("Good day.", 1, 2, [word(" Good", 0.9, 1.4, 0.8), word(" day.", 1.4, 2.3, 0.6)]))
    assert "words" not in transcript(spoken)["segments"][0]
    assert transcript(spoken)["segments"][0]["confidence"] == 0.7
    kept = transcript(spoken, word_timestamps=True)["segments"][0]["words"]
    assert [(each["start"], each["end"]) for each in kept] == [(1, 1.4), (1.4, 2)]


def test_multilingual_segments_have_their_language() -> None:
    spoken = result(segment("Guten Tag.", 1, 2))
    spoken["windows"][0]["language"] = "de"
    assert transcript(spoken, multilingual=True)["segments"][0]["language"] == "de"
    assert "language" not in transcript(spoken)["segments"][0]


def test_no_speech_gives_an_empty_transcript_in_every_format() -> None:
    empty = transcript(plan={**PLAN, "language": None})
    assert empty["segments"] == []
    assert empty["engine"] is None
    assert {name: written(name, empty) for name in FORMATS if name not in ("json", "docx")} == {
        "srt": "",
        "vtt": "WEBVTT\n",
        "txt": "",
        "tsv": "start\tend\ttext\n",
    }


def test_the_bytes_depend_on_the_content_alone() -> None:
    spoken = result(segment("Héllo – 会議", 0, 1))
    shuffled = json.loads(json.dumps(spoken, sort_keys=True))
    for write, _ in FORMATS.values():
        assert write(transcript(spoken)) == write(transcript(shuffled))


def test_a_transcript_does_not_contain_its_job_id() -> None:
    assert set(transcript(result(segment("a", 0, 1)))) == {
        "version", "language", "task", "duration_seconds", "speech_seconds", "text", "engine", "warnings", "options",
        "segments",
    }  # fmt: skip


def test_srt_has_numbered_cues_with_commas() -> None:
    document = transcript(
        result(segment("One --> two\nlines.", 0, 1.5), segment("Late.", 3725.25, 3726.05)),
        plan={**PLAN, "duration_seconds": 4000.0},
    )
    assert written("srt", document) == (
        "1\n00:00:00,000 --> 00:00:01,500\nOne → two lines.\n\n2\n01:02:05,250 --> 01:02:06,050\nLate.\n"
    )


def test_vtt_escapes_markup() -> None:
    document = transcript(result(segment("a <b> & c --> d", 0, 1)))
    assert written("vtt", document) == ("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na &lt;b&gt; &amp; c --&gt; d\n")


def test_tsv_has_milliseconds_and_no_tabs_in_texts() -> None:
    document = transcript(result(segment("a\tb", 0.001, 1.2345)))
    assert written("tsv", document) == "start\tend\ttext\n1\t1234\ta b\n"


def test_text_breaks_into_paragraphs_at_pauses() -> None:
    document = transcript(result(segment("One.", 0, 1), segment("Two.", 1.5, 2), segment("Three.", 5, 6)))
    assert written("txt", document) == "One. Two.\n\nThree.\n"


def test_long_text_breaks_at_the_end_of_a_sentence() -> None:
    sentence = "Word " + "word " * 39 + "end."
    document = transcript(result(*(segment(sentence, second, second + 1) for second in range(8))))
    paragraphs = written("txt", document).split("\n\n")
    assert len(paragraphs) > 1
    assert all(paragraph.rstrip().endswith("end.") for paragraph in paragraphs)


def test_scripts_without_spaces_are_joined_without_them() -> None:
    spoken = result(segment("今日は。", 0, 1), segment("会議です。", 1, 2))
    assert transcript(spoken, plan={**PLAN, "language": "ja"})["text"] == "今日は。会議です。"
    assert written("txt", transcript(spoken, plan={**PLAN, "language": "en"})) == "今日は。会議です。\n"


def test_texts_of_several_languages_are_joined_by_the_rules_of_each_script() -> None:
    spoken = result(segment("今天很好。", 0, 1), segment("ask not", 1, 2), segment("what", 2, 3), segment("真的", 3, 4))
    document = transcript(spoken, plan={**PLAN, "language": "zh"}, multilingual=True)
    assert document["text"] == "今天很好。ask not what真的"
    assert written("txt", document) == "今天很好。ask not what真的\n"
    assert "今天很好。ask not what真的<" in FORMATS["docx"][0](document).decode("utf-8", "ignore")


def test_no_segment_ends_after_the_recording() -> None:
    spoken = result(
        segment("Good day.", 88.0, 90.4, [word(" Good", 88.0, 89.9), word(" day.", 89.9, 90.4)]),
        segment("Yes, indeed it is.", 90.2, 90.3, [word(" Yes, indeed it is.", 90.2, 90.3)]),
    )
    document = transcript(spoken, word_timestamps=True)
    edges = [edge for each in document["segments"] for edge in (each["start"], each["end"])]
    assert edges == sorted(edges)
    assert edges[-1] == 90.0
    assert all(each["start"] <= word["end"] <= each["end"] for each in document["segments"] for word in each["words"])
    assert written("srt", document).rstrip().splitlines()[-2].endswith("--> 00:01:30,000")
    assert written("tsv", document).splitlines()[-1].split("\t")[1] == "90000"


@pytest.mark.parametrize(
    "text",
    ["=1+1", "@SUM(A1)", '+HYPERLINK("x")', "-2+3+cmd|' /C calc'!A0", '"=1+1"', "＝1+1", "-Sheet2!A1", " =1", "\t=1"],
)
def test_formulas_are_escaped_in_tsv(text: str) -> None:
    cell = written("tsv", transcript(result(segment(text, 0, 1)))).splitlines()[1].split("\t")[2]
    assert cell == "'" + text.strip()


@pytest.mark.parametrize("text", ["-5 degrees", "- Yes!", "+49 30 12 34", "+1 (555) 010", "-known", "a = b", "'tis"])
def test_ordinary_text_is_unchanged_in_tsv(text: str) -> None:
    assert written("tsv", transcript(result(segment(text, 0, 1)))) == f"start\tend\ttext\n0\t1000\t{text}\n"


def test_words_are_counted_as_the_engine_returned_them() -> None:
    assert count_words([result(segment("今日は", 0, 1, [word("今日", 0, 0.5), word("は", 0.5, 1)]))]) == 2
    assert count_words([result(segment("Good day to you.", 0, 1))]) == 4


def window(*spans: tuple[float, float]) -> dict[str, Any]:
    listed, offset = [], 0.0
    for start, end in spans:
        listed.append({"source_start": start, "source_end": end, "offset": offset})
        offset += end - start
    return {"index": 3, "spans": listed, "seconds": offset, "forced_cut": False}


def heard(*words: tuple[str, float, float]) -> WindowResult:
    spoken = tuple(Word(start, end, text, 0.5) for text, start, end in words)
    text = "".join(each.word for each in spoken)
    return WindowResult(text, -0.1, 0.0, spoken, "en")


def placed(spans: dict[str, Any], said: WindowResult) -> list[dict[str, Any]]:
    """The segments of a window without pauses, so that times change only by the lead of attention."""
    hiss = np.random.default_rng(0).standard_normal(round(spans["seconds"] * SAMPLE_RATE)).astype(np.float32)
    early = replace(
        said, words=tuple(replace(each, start=each.start - 0.06, end=each.end - 0.06) for each in said.words)
    )
    segments: list[dict[str, Any]] = Timeline(spans).document(early, hiss)["segments"]
    return segments


def test_words_that_two_windows_share_appear_once() -> None:
    left = {**window((0.0, 10.0)), "words_until": 9.0}
    right = {**window((8.0, 12.0)), "words_from": 9.0}
    before = placed(left, heard((" one", 7.5, 8.3), (" two", 8.4, 8.9), (" three", 8.95, 9.6)))
    after = placed(right, heard((" too", 0.3, 0.8), (" three", 0.9, 1.7), (" four", 1.8, 2.4)))
    assert [word["word"] for segment in before + after for word in segment["words"]] == [
        " one", " two", " three", " four"
    ]  # fmt: skip
    hiss = np.random.default_rng(0).standard_normal(10 * SAMPLE_RATE).astype(np.float32)
    assert Timeline(left).document(heard((" two", 8.4, 8.9), (" three", 9.2, 9.6)), hiss)["text"] == "two"
    assert Timeline(right).document(heard((" too", 0.1, 0.5)), hiss)["segments"] == []


def test_times_are_those_of_the_recording() -> None:
    segments = placed(window((10.0, 12.0), (12.5, 15.0)), heard((" a", 0.8, 2.0), (" b", 2.0, 3.0)))
    assert [(each["start"], each["end"]) for each in segments[0]["words"]] == [(10.8, 12.0), (12.5, 13.5)]
    assert (segments[0]["start"], segments[0]["end"]) == (10.8, 13.5)


def test_a_word_at_a_cut_belongs_to_the_side_of_its_middle() -> None:
    segments = placed(window((10.0, 12.0), (12.5, 15.0)), heard((" a", 1.0, 2.1), (" b", 2.1, 3.0)))
    assert [(each["start"], each["end"]) for each in segments[0]["words"]] == [(11.0, 12.0), (12.6, 13.5)]


def test_a_segment_does_not_extend_over_a_removed_silence() -> None:
    segments = placed(window((10.0, 12.0), (60.0, 62.0)), heard((" Good", 0.8, 2.0), (" day.", 2.0, 3.0)))
    assert [(each["start"], each["end"], each["text"]) for each in segments] == [
        (10.8, 12.0, "Good"),
        (60.0, 61.0, "day."),
    ]


def test_a_text_without_word_times_spans_its_window() -> None:
    assert placed(window((5.0, 7.0)), WindowResult(" Hm.", -0.1, 0.0, (), "en")) == [
        {"start": 5.0, "end": 7.0, "text": "Hm.", "words": []}
    ]


def test_a_long_text_without_word_times_is_split_into_subtitles() -> None:
    said = "今天我们在会议上讨论了微软发布的新产品" * 6
    segments = placed(window((5.0, 25.0)), WindowResult(said, -0.1, 0.0, (), "zh"))
    assert "".join(each["text"] for each in segments) == said
    assert all(columns(line) <= LINE_WIDTH for each in segments for line in wrap(each["text"]))
    assert (segments[0]["start"], segments[-1]["end"]) == (5.0, 25.0)


def test_silence_has_no_segments() -> None:
    assert placed(window((5.0, 7.0)), WindowResult("", -0.1, 0.9, (), "en")) == []


SPANS = st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 9)), min_size=1, max_size=4)
SAID = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 9), st.sampled_from([" so", " it ends.", "语", "。", " 3.5"])))


@given(SPANS, SAID, st.booleans())
def test_times_stay_within_the_recording_for_any_engine_result(
    spans: list[tuple[float, float]], said: list[tuple[float, float, str]], cut: bool
) -> None:
    now, placed_spans = 0.0, []
    for gap, length in spans:
        placed_spans.append((now + gap, now + gap + length))
        now += gap + length
    cut_window = window(*placed_spans)
    if cut:  # inside speech: the last words belong to the next window
        cut_window["words_until"] = now - 0.05
    clock, words = 0.0, []
    for gap, length, text in said:
        words.append((text, clock + gap, clock + gap + length))
        clock += gap + length
    segments = placed(cut_window, heard(*words))
    duration = round(now, 3)
    results = {
        "engine": ENGINE,
        "windows": [{"language": "en", "avg_logprob": -0.1, "no_speech_prob": 0.0, "segments": segments}],
    }
    document = transcript(results, plan={**PLAN, "duration_seconds": duration}, word_timestamps=True)
    for items in (document["segments"], [word for each in document["segments"] for word in each["words"]]):
        edges = [edge for item in items for edge in (item["start"], item["end"])]
        assert edges == sorted(edges)
        assert all(0 <= edge <= duration for edge in edges)
    assert all(cue.start <= cue.end <= duration for cue in cues(document["segments"], duration))
