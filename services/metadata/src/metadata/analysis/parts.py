"""Cutting a long transcript into parts that a language model can read at once."""

from collections.abc import Iterator, Sequence

from .errors import AnalysisFailed
from .transcripts import Transcript

# English has about four letters to a token, most other alphabets fewer, Chinese a character (3 bytes) or less.
BYTES_PER_TOKEN = 3


def tokens(text: str) -> int:
    """About how many tokens a text has; rather too many than too few."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def cut(transcript: Transcript, budget: int, most: int) -> list[str]:
    """The transcript in parts of at most `budget` tokens, cut between segments, evenly filled.

    Raises AnalysisFailed if there would be more than `most` parts, or if there is nothing to read.
    """
    pieces = [piece for segment in transcript.segments for piece in _pieces(segment.text.strip(), budget)]
    if not pieces:
        raise AnalysisFailed("nothing_said", "There is no speech in this recording.")
    total = sum(tokens(piece) + 1 for piece in pieces)
    count = -(-total // budget)
    if count > most:
        raise AnalysisFailed(
            "transcript_too_long", f"The transcript would have to be read in {count} parts; {most} are allowed."
        )
    return list(_filled(pieces, min(budget, -(-total // count))))


def groups(sizes: Sequence[int], budget: int) -> Iterator[range]:
    """Consecutive runs that fit into the budget together; of two at least, so that merging comes to an end."""
    start, used = 0, 0
    for number, size in enumerate(sizes):
        if used + size > budget and number - start > 1:
            yield range(start, number)
            start, used = number, 0
        used += size
    yield range(start, len(sizes))


def _pieces(text: str, budget: int) -> Iterator[str]:
    """A segment as it is; one that alone is too long (nobody wrote a full stop) in pieces."""
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
