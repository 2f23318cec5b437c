"""Merge the results of all chunks into one transcript: by times alone, without comparison of texts; pure."""

from collections.abc import Iterable, Iterator, Sequence
from math import exp
from typing import Any

from common.events import JobOptions
from common.intervals import in_order
from common.text.joining import joined


def assemble(plan: dict[str, Any], results: Sequence[dict[str, Any]], options: JobOptions) -> dict[str, Any]:
    """Merge the chunks' result documents, given in the order of the chunks, into the transcript document."""
    windows = [window for result in results for window in result["windows"]]
    segments = list(_segments(windows, plan["duration_seconds"], options))
    return {
        "version": 1,
        "language": plan["language"],
        "task": options.task,
        "duration_seconds": plan["duration_seconds"],
        "speech_seconds": plan["speech_seconds"],
        "text": joined(segment["text"] for segment in segments),
        "engine": results[0]["engine"] if results else None,
        "warnings": plan.get("warnings", []),
        "options": options.model_dump(mode="json"),
        "segments": segments,
    }


def count_words(results: Iterable[dict[str, Any]]) -> int:
    """Count the engine's words, which also works for scripts without spaces."""
    segments = (segment for result in results for window in result["windows"] for segment in window["segments"])
    return sum(len(segment["words"]) or len(segment["text"].split()) for segment in segments)


def _segments(windows: Iterable[dict[str, Any]], duration: float, options: JobOptions) -> Iterator[dict[str, Any]]:
    """Yield numbered segments in order, without overlap and within the recording."""
    spoken = [(window, segment) for window in windows for segment in window["segments"] if segment["text"]]
    times = in_order(((segment["start"], segment["end"]) for _, segment in spoken), duration)
    for number, ((window, segment), (start, end)) in enumerate(zip(spoken, times, strict=True)):
        words = segment["words"]
        document = {
            "id": number,
            "start": start,
            "end": end,
            "text": segment["text"],
            "avg_logprob": window["avg_logprob"],
            "no_speech_prob": window["no_speech_prob"],
            "confidence": _confidence(words, window["avg_logprob"]),
        }
        if options.multilingual:
            document["language"] = window["language"]
        if options.word_timestamps:
            document["words"] = list(_words(words, start, end))
        yield document


def _confidence(words: Sequence[dict[str, Any]], avg_logprob: float) -> float:
    """The mean probability of the words, 0..1; without words that of the window."""
    if words:
        total: float = sum(word["probability"] for word in words)
        return round(total / len(words), 4)
    return round(min(1.0, exp(avg_logprob)), 4)


def _words(words: Iterable[dict[str, Any]], start: float, end: float) -> Iterator[dict[str, Any]]:
    """Yield the words in order, clipped to their segment."""
    clock = start
    for word in words:
        begins = round(min(max(word["start"], clock), end), 3)
        clock = round(min(max(word["end"], begins), end), 3)
        yield {"start": begins, "end": clock, "word": word["word"], "probability": word["probability"]}
