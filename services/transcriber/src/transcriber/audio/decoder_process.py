"""The decoder process: read one media file and write 16 kHz mono PCM to the output, within limits.

The output is a sequence of frames, each a letter, a 32-bit length and that many bytes: `S` the file's description of
itself (JSON), `A` audio (signed 16-bit little-endian), `E` the end with warnings (JSON), `R` a rejection (JSON).
"""

import importlib
import json
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final

from transcriber.errors import Rejected, in_words

from . import sandbox
from .pcm import SAMPLE_RATE

HEADER: Final = struct.Struct("<cI")
FRAME_BYTES: Final = 1 << 15
MOST_MIXED: Final = 16  # tracks
MEANINGFUL_SECONDS: Final = 1.0  # of sound, below which a damaged recording is rejected


def load_libraries() -> None:
    """Load the libraries for all decoders that are forked from this process."""
    for name in ("numpy", f"{__package__}.mixing", f"{__package__}.media"):
        importlib.import_module(name)


def run(*, parent: int, path: str, track: int | str | None, max_seconds: float, memory_bytes: int) -> None:
    """Decode one track of a file (absolute path), or its tracks mixed, to the descriptor `sandbox.OUTPUT`."""
    sandbox.confine(parent=parent, memory_bytes=memory_bytes)
    pipe = os.fdopen(sandbox.OUTPUT, "wb", buffering=0)
    try:
        with ExitStack() as stack:
            files: list[BinaryIO] = [stack.enter_context(Path(path).open("rb"))]
            if track == "mix":  # each track has its own reader, so that memory does not depend on their order
                files += [stack.enter_context(Path(path).open("rb")) for _ in range(MOST_MIXED - 1)]
            _decode(files, pipe, track=track, max_seconds=max_seconds)
    except Rejected as rejection:
        _send(pipe, b"R", {"code": rejection.code, "reason": rejection.reason})
    except MemoryError:
        reason = "The file could not be read: decoding it takes more memory than a recording should."
        _send(pipe, b"R", {"code": "undecodable", "reason": reason})
    except BrokenPipeError:
        pass  # the reader has closed the pipe


def _decode(files: list[BinaryIO], pipe: BinaryIO, *, track: int | str | None, max_seconds: float) -> None:
    if not os.fstat(files[0].fileno()).st_size:
        raise Rejected("empty_file")
    from .media import Media, libraries  # noqa: PLC0415 (loaded by `load_libraries`, in decoders only)

    sandbox.seal()
    first = Media(files[0], limit=max_seconds)
    chosen = first.choose(track)
    parts = [first, *(Media(file, limit=max_seconds) for file in files[1 : len(chosen)])]
    for part, one in zip(parts, chosen, strict=True):
        part.select(one)
    _send(pipe, b"S", {"source": _source(parts, chosen, mix=track == "mix"), "decoder": libraries()})
    limit, written = int(max_seconds * SAMPLE_RATE), 0
    for pcm in _pcm(parts):
        written += len(pcm) // 2
        if written > limit:
            raise Rejected("too_long", limit=in_words(max_seconds))
        _write(pipe, b"A", pcm)
        sandbox.extend_cpu_limit()
    seconds = written / SAMPLE_RATE
    damaged, intact = sum(part.damaged for part in parts), sum(part.intact for part in parts)
    if damaged and (seconds < MEANINGFUL_SECONDS or damaged > intact):
        raise Rejected("undecodable")
    if not any(part.found for part in parts):
        raise Rejected("no_audio")
    if not written:  # a sample or two of a higher rate
        _write(pipe, b"A", bytes(2))
    _send(pipe, b"E", {"warnings": list(_warnings(parts, seconds))})


def _source(parts: list[Any], chosen: list[Any], *, mix: bool) -> dict[str, Any]:
    """The file's description of itself, and which of its tracks are decoded; `track` is "mix" for all of them."""
    first = chosen[0]
    numbers = {track.index for track in chosen}
    return {
        "container": parts[0].container,
        "video": parts[0].video,
        "codec": first.codec,
        "sample_rate": first.sample_rate,
        "channels": first.channels,
        "declared_seconds": parts[0].declared_seconds,
        "track": "mix" if mix else first.index,
        "tracks": [track.document() | {"chosen": track.index in numbers} for track in parts[0].tracks],
    }


def _pcm(parts: list[Any]) -> Iterator[bytes]:
    """Yield the recording as mono PCM in frames of equal size (the last one shorter)."""
    import numpy as np  # noqa: PLC0415 (loaded by `load_libraries`, in decoders only)

    from .mixing import mixed, mono  # noqa: PLC0415 (likewise)

    held = bytearray()
    for block in mixed([mono(part.blocks()) for part in parts]):
        whole = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
        held += np.clip(np.rint(whole * 32768.0), -32768, 32767).astype("<i2").tobytes()
        while len(held) >= FRAME_BYTES:
            yield bytes(held[:FRAME_BYTES])
            del held[:FRAME_BYTES]
    if held:
        yield bytes(held)


def _warnings(parts: list[Any], seconds: float) -> Iterator[dict[str, str]]:
    """Describe what is missing of the recording; the codes are listed in `common.events`."""
    if damaged := sum(part.damaged for part in parts):
        text = f"The recording is damaged: {damaged} pieces of it could not be decoded and are missing."
        yield {"code": "damaged", "text": text}
    if gaps := max(part.clock.gap_seconds for part in parts):
        text = f"The recording has gaps: {gaps:.1f} seconds of it hold no sound and are taken as silence."
        yield {"code": "gaps", "text": text}
    if jumps := max(part.clock.jumps for part in parts):
        text = (
            f"The recording's clock was set anew {'once' if jumps == 1 else f'{jumps} times'}: the sound is joined "
            "there, so later times may differ from those that a player shows."
        )
        yield {"code": "clock_jumps", "text": text}
    declared = max(part.declared_seconds or 0.0 for part in parts)
    declared = max(declared, seconds / max(1e-6, 1 - parts[0].missing_share))
    if seconds + parts[0].late_seconds < 0.9 * declared - 1.0 and not jumps:
        text = (
            f"The recording breaks off: it says it lasts {in_words(round(declared))}, but holds {seconds:.0f} seconds."
        )
        yield {"code": "truncated", "text": text}
    if parts[0].another_begins():
        text = (
            "The file holds several recordings, one after the other, and only the first of them is read. Join them "
            "with a program that makes one recording of them, or upload each by itself."
        )
        yield {"code": "joined_files", "text": text}
    broken = [track for track in parts[0].tracks if not track.readable]
    if broken:
        names = "; ".join(track.named() for track in broken)
        text = f"The file has audio in a format that cannot be read, which is not transcribed: track {names}."
        yield {"code": "unreadable_tracks", "text": text}
    readable = len(parts[0].tracks) - len(broken)
    if 1 < len(parts) < readable:
        text = f"Only {len(parts)} of {readable} audio tracks are mixed. Restart with track=… for one of the others."
        yield {"code": "tracks_not_mixed", "text": text}


def _send(pipe: BinaryIO, kind: bytes, value: dict[str, Any]) -> None:
    _write(pipe, kind, json.dumps(value, ensure_ascii=False).encode())


def _write(pipe: BinaryIO, kind: bytes, payload: bytes) -> None:
    view = memoryview(HEADER.pack(kind, len(payload)) + payload)
    while view:
        view = view[pipe.write(view) :]
