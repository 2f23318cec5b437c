"""Errors of a recording or a worker: permanent ones are Rejected, after all others a retry may help."""

from typing import Final

# One sentence per reason; `{…}` is filled in where the error is raised.
SENTENCES: Final = {
    "empty_file": "The file is empty: it holds no bytes at all.",
    "undecodable": "The file could not be read as a recording: it is damaged, or it is not audio or video.",
    "no_audio": "The file has no sound in it: there is no audio track, or the track is empty.",
    "no_such_track": "There is no audio track {track} in this file. It has {tracks}. Choose one of these, or mix.",
    "too_long": "The recording is longer than the limit of {limit}.",
    "unsupported_language": "The model {model} cannot transcribe the language “{language}”.",
    "source_missing": "The uploaded file is no longer in the store, so there is nothing to transcribe.",
}


class Rejected(Exception):
    """A recording that can never be transcribed as asked: `code` for programs, `reason` for people."""

    def __init__(self, code: str, reason: str | None = None, **values: str) -> None:
        self.code = code
        self.reason = reason if reason is not None else SENTENCES[code].format(**values)
        super().__init__(self.reason)


class DecoderDied(Exception):
    """The decoder process was killed from outside: the recording may be tried again."""


class NoRoom(OSError):
    """This worker's disk is too full for the recording; a retry, here or on another worker, may succeed."""


class ModelNotServed(Exception):
    """No model of this worker fits the work; another worker may have one."""


class WorkCancelled(Exception):
    """The job was cancelled during the work; the work is dropped, which is no failure."""


def in_words(seconds: float) -> str:
    """Format a duration for people: "45 seconds", "90 minutes", "24 hours"."""
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds >= length:
            amount = round(seconds / length, 1)
            return f"{amount:g} {unit}{'' if amount == 1 else 's'}"
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"
