"""Parts of a long transcript that fit into one request to a language model."""

from collections.abc import Iterator, Sequence

from metadata.errors import AnalysisFailed
from metadata.text.transcripts import Transcript

# English has about four letters to a token, most other alphabets fewer, Chinese a character (3 bytes) or less.
BYTES_PER_TOKEN = 3


def tokens(text: str) -> int:
    """Approximate number of tokens of a text, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def cut(transcript: Transcript, budget: int, most: int) -> list[str]:
    """Cut the transcript between segments into parts of similar size, of at most `budget` tokens.

    Raises AnalysisFailed for more than `most` parts, or for a transcript without text.
    """
    pieces = [piece for segment in transcript.segments for piece in _pieces(segment.text.strip(), budget)]
    if not pieces:
        raise AnalysisFailed("nothing_said", "There is no speech in this recording.")
    total = sum(tokens(piece) + 1 for piece in pieces)
    count = -(-total // budget)
    if count > most:
        raise AnalysisFailed(
            "transcript_too_long",
            f"The transcript is too long: it needs {count} parts, {most} are allowed (OPENAI_MAX_PARTS).",
        )
    return list(_filled(pieces, min(budget, -(-total // count))))


def groups(sizes: Sequence[int], budget: int) -> Iterator[range]:
    """Consecutive runs within the budget, of at least two items, so that merging ends."""
    start, used = 0, 0
    for number, size in enumerate(sizes):
        if used + size > budget and number - start > 1:
            yield range(start, number)
            start, used = number, 0
        used += size
    yield range(start, len(sizes))


def _pieces(text: str, budget: int) -> Iterator[str]:
    """The segment itself; a segment over the budget (a text without full stops) in pieces."""
    longest = budget * BYTES_PER_TOKEN // 4  # characters: none has more than four bytes
    if tokens(text) <= budget:
        longest = len(text) or 1
    yield from (text[at : at + longest] for at in range(0, len(text), longest))


def _filled(pieces: Sequence[str], target: int) -> Iterator[str]:
    part: list[str] = []
    used = 0
    for piece in pieces:
        size = tokens(piece) + 1
        if part and used + size > target:
            yield "\n".join(part)
            part, used = [], 0
        part.append(piece)
        used += size
    yield "\n".join(part)
