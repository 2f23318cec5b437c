"""Map time stamps to the time line of a recording: gaps are kept, resets of the clock are ignored."""

from typing import Final

from transcriber.errors import Rejected, in_words

DRIFT: Final = 0.25  # seconds by which a time stamp may differ before it counts as a gap in the recording
_MAX_STEP_BACK: Final = 2.0  # seconds by which it may go back before that counts as a reset of the clock
_MAX_JUMPS: Final = 16  # forward jumps over more than the limit; a file with more of them really has that length


class TrackClock:
    """The time line of one track; it begins at `start` (a time stamp in seconds; None = the first one).

    `gap_seconds` is the silence inserted for missing sound, `jumps` how often the time stamps went back, or forward by
    more than `limit` seconds: there the sound is joined without silence.
    """

    def __init__(self, start: float | None, limit: float) -> None:
        self.gap_seconds = 0.0
        self.jumps = 0
        self._limit = limit
        self._origin = start  # the time stamp of the beginning of the time line
        self._origin_before: float | None = None
        self._position = 0.0
        self._begun = False
        self._leaps = 0

    def place(self, stamp: float | None, length: float) -> float:
        """Return the seconds missing before sound of this time stamp and length, and advance past it."""
        if self._origin is None:
            self._origin = stamp or 0.0
        gap = 0.0 if stamp is None else self._missing(stamp, stamp - self._origin - self._position)
        self.gap_seconds += gap if self._begun else 0.0
        self._position += gap + length
        self._begun = True
        return gap

    def _missing(self, stamp: float, missing: float) -> float:
        if abs(missing) <= DRIFT:
            return 0.0
        if missing < 0 or missing > self._limit:
            if missing > 0:
                self._leaps += 1
                if self._leaps > _MAX_JUMPS:
                    raise Rejected("too_long", limit=in_words(self._limit))
            self.jumps += self._begun and not -_MAX_STEP_BACK <= missing < 0
        elif self._origin_before is None or abs(stamp - self._origin_before - self._position) > DRIFT:
            return missing
        # The clock was reset, or a single time stamp was wrong and the old clock is valid again.
        self._origin_before, self._origin = self._origin, stamp - self._position
        return 0.0
