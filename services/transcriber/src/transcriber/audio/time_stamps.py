"""From time stamps to places on the time line of a recording: holes stay, clocks that were set anew do not count."""

from typing import Final

from transcriber.errors import Rejected, in_words

DRIFT: Final = 0.25  # seconds by which a time stamp may be off before it counts as a hole in the recording
_SLIP: Final = 2.0  # seconds by which it may go back before that counts as a clock that was set anew
_MOST_JUMPS: Final = 16  # forward jumps over more than the limit; with more of them, the file really claims that length


class Clock:
    """The time line of one track; it begins at `start` (seconds, as the file's time stamps count; None = at the first).

    `gap_seconds` is the silence that stands for missing sound, `jumps` how often the time stamps went back, or forward
    by more than `limit` seconds: there the sound is joined instead.
    """

    def __init__(self, start: float | None, limit: float) -> None:
        self.gap_seconds = 0.0
        self.jumps = 0
        self._limit = limit
        self._origin = start  # the time stamp that lies at the beginning of the time line
        self._origin_before: float | None = None
        self._position = 0.0
        self._begun = False
        self._leaps = 0

    def place(self, stamp: float | None, length: float) -> float:
        """Say how many seconds are missing before sound of this time stamp and length, and move on past it."""
        if self._origin is None:
            self._origin = stamp or 0.0
        hole = 0.0 if stamp is None else self._missing(stamp, stamp - self._origin - self._position)
        self.gap_seconds += hole if self._begun else 0.0
        self._position += hole + length
        self._begun = True
        return hole

    def _missing(self, stamp: float, missing: float) -> float:
        if abs(missing) <= DRIFT:
            return 0.0
        if missing < 0 or missing > self._limit:
            if missing > 0:
                self._leaps += 1
                if self._leaps > _MOST_JUMPS:
                    raise Rejected("too_long", limit=in_words(self._limit))
            self.jumps += self._begun and not -_SLIP <= missing < 0
        elif self._origin_before is None or abs(stamp - self._origin_before - self._position) > DRIFT:
            return missing
        # The clock was set anew, or a single time stamp was wrong and the old clock is right again.
        self._origin_before, self._origin = self._origin, stamp - self._position
        return 0.0
