"""Pack spans of speech into windows, and group consecutive windows into chunks; pure and repeatable."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from transcriber.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE

from .spans import SHARED, Span

WINDOW: Final = 30 * SAMPLE_RATE  # samples a model sees at once
FIRST_CHUNKS: Final = (1, 1, 2)  # windows: the first chunks are small, so that text appears early
CHUNK_WINDOWS: Final = 4  # windows of all further chunks: at most 120 s, decoded in one batch


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """Spans of the recording packed back to back into at most 30 s; `index` counts over the whole recording."""

    index: int
    spans: tuple[Span, ...]

    @property
    def length(self) -> int:
        """The number of samples."""
        return sum(span.length for span in self.spans)

    @property
    def forced_cut(self) -> bool:
        """Whether the window ends within speech, of which the next window repeats a second."""
        return self.spans[-1].forced

    @property
    def start(self) -> int:
        """The sample of the recording from which on words belong to this window."""
        return self.spans[0].start + self.spans[0].shared // 2

    @property
    def end(self) -> int:
        """The sample of the recording up to which words belong to this window."""
        return self.spans[-1].end - (SHARED // 2 if self.forced_cut else 0)

    def document(self) -> dict[str, Any]:
        """Describe the window in seconds: the place of each span in the recording and in the window.

        `words_from` and `words_until` are set where a cut within speech assigns the words beyond to another window.
        """
        spans, offset = [], 0
        for span in self.spans:
            spans.append(
                {
                    "source_start": span.start / SAMPLE_RATE,
                    "source_end": span.end / SAMPLE_RATE,
                    "offset": offset / SAMPLE_RATE,
                }
            )
            offset += span.length
        return {
            "index": self.index,
            "spans": spans,
            "seconds": self.length / SAMPLE_RATE,
            "forced_cut": self.forced_cut,
            "words_from": self.start / SAMPLE_RATE if self.spans[0].shared else None,
            "words_until": self.end / SAMPLE_RATE if self.forced_cut else None,
        }


@dataclass(frozen=True, slots=True)
class PlannedChunk:
    """Consecutive windows: the unit of work."""

    index: int
    windows: tuple[PlannedWindow, ...]

    @property
    def length(self) -> int:
        """The number of samples of all windows."""
        return sum(window.length for window in self.windows)

    @property
    def start_seconds(self) -> float:
        """The start of its first speech in the recording."""
        return self.windows[0].start / SAMPLE_RATE

    @property
    def end_seconds(self) -> float:
        """The end of its last speech in the recording."""
        return self.windows[-1].end / SAMPLE_RATE

    @property
    def speech_seconds(self) -> float:
        """The seconds of its audio, which is all speech."""
        return self.length / SAMPLE_RATE

    def document(self) -> dict[str, Any]:
        """Build the chunk's meta, which the transcription needs beside the audio."""
        return {"chunk": self.index, "windows": [window.document() for window in self.windows]}


class Packer:
    """Packs spans in order, and returns each chunk as soon as it is full; the same spans give the same chunks."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._filled = 0
        self._windows: list[PlannedWindow] = []
        self._window_count = 0
        self._chunk_count = 0

    def push(self, span: Span) -> tuple[Span, list[PlannedChunk]]:
        """Add a span of at most 30 s; return its new part, and the chunks that it completes.

        A span is new as a whole, unless the current window has its beginning as the end of the previous span.
        """
        full: list[PlannedChunk] = []
        rest = replace(span, start=span.start + span.shared, shared=0)
        if self._spans and span.shared and self._filled + rest.length <= WINDOW:
            span = rest
        elif self._filled + span.length > WINDOW:
            self._close_window()
            full += self._full_chunks()
        self._add(span)
        return span, full

    def finish(self) -> Iterator[PlannedChunk]:
        """Yield the rest at the end of the recording."""
        if self._spans:
            self._close_window()
            yield from self._full_chunks()
        if self._windows:
            yield self._close_chunk()

    def _add(self, span: Span) -> None:
        if self._spans and self._spans[-1].end == span.start:
            # Two parts of one long span in the same window: they are joined again.
            span = replace(self._spans.pop(), end=span.end, forced=span.forced)
        self._spans.append(span)
        self._filled = sum(each.length for each in self._spans)

    def _close_window(self) -> None:
        self._windows.append(PlannedWindow(self._window_count, tuple(self._spans)))
        self._window_count += 1
        self._spans, self._filled = [], 0

    def _full_chunks(self) -> Iterator[PlannedChunk]:
        size = FIRST_CHUNKS[self._chunk_count] if self._chunk_count < len(FIRST_CHUNKS) else CHUNK_WINDOWS
        if len(self._windows) >= size:
            yield self._close_chunk()

    def _close_chunk(self) -> PlannedChunk:
        chunk = PlannedChunk(self._chunk_count, tuple(self._windows))
        self._chunk_count += 1
        self._windows = []
        return chunk


def cut_windows(pcm: bytes, lengths: Sequence[int]) -> list[NDArray[np.float32]]:
    """Cut a chunk's PCM into windows of these numbers of samples, as float32 in -1..1.

    Raises ValueError unless the lengths add up to the length of the PCM.
    """
    if sum(lengths) * SAMPLE_BYTES != len(pcm):
        raise ValueError(f"a chunk of {len(pcm)} bytes cannot hold windows of {sum(lengths)} samples")
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0
    edges = np.cumsum([0, *lengths])
    return [samples[start:end] for start, end in pairwise(edges)]
