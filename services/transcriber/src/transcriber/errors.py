"""What can go wrong with a recording, told apart by whether trying again could help."""

from typing import Final

# One sentence for people per reason; `{…}` is filled in where the reason is raised.
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
    """The decoder process was ended from outside, so the recording is not to blame and may be tried again."""


class NoRoom(OSError):
    """There is no room for the recording on this worker's disk now; another worker, or a later hour, may have it."""


class ModelNotServed(Exception):
    """This worker cannot do the work because none of its models fits; another worker may."""


class WorkCancelled(Exception):
    """The job was cancelled while its work was in hand; the work is dropped, and that is not a failure."""


def in_words(seconds: float) -> str:
    """Say a limit the way people do: "45 seconds", "90 minutes", "24 hours"."""
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds >= length:
            amount = round(seconds / length, 1)
            return f"{amount:g} {unit}{'' if amount == 1 else 's'}"
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"
