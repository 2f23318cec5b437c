"""What a decoder process does: it reads one media file and writes 16 kHz mono PCM to its output, inside limits.

The output is a sequence of frames, each a letter, a 32-bit length and as many bytes: `S` what the file says about
itself (JSON), `A` audio (signed 16-bit little-endian), `E` the end with warnings (JSON), `R` a rejection (JSON).
"""

import importlib
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

from . import sandbox
from .errors import Rejected, in_words

HEADER: Final = struct.Struct("<cI")
FRAME_BYTES: Final = 1 << 15
MEANINGFUL_SECONDS: Final = 1.0  # of sound, for a damaged recording to be worth keeping


def load_libraries() -> None:
    """Load what a decoder needs, for all the decoders that are forked from this process."""
    for name in ("numpy", f"{__package__}.downmix", f"{__package__}.media"):
        importlib.import_module(name)


def run(*, parent: int, path: str, max_seconds: float, memory_bytes: int) -> None:
    """Decode a file (absolute path) to the descriptor `sandbox.OUTPUT`."""
    sandbox.confine(parent=parent, memory_bytes=memory_bytes)
    pipe = os.fdopen(sandbox.OUTPUT, "wb", buffering=0)
    try:
        with Path(path).open("rb") as file:
            _decode(file, pipe, max_seconds=max_seconds)
    except Rejected as rejection:
        _send(pipe, b"R", {"code": rejection.code, "reason": rejection.reason})
    except MemoryError:
        reason = "The file could not be read: decoding it takes more memory than a recording should."
        _send(pipe, b"R", {"code": "undecodable", "reason": reason})
    except BrokenPipeError:
        pass  # nobody listens any more


def _decode(file: BinaryIO, pipe: BinaryIO, *, max_seconds: float) -> None:
    if not os.fstat(file.fileno()).st_size:
        raise Rejected("empty_file")
    from .media import RATE, Media, libraries  # noqa: PLC0415 (loaded by `load_libraries`, in decoders only)

    sandbox.seal()
    media = Media(file)
    source = media.source
    _send(pipe, b"S", {"source": asdict(source), "decoder": libraries()})
    limit, written = int(max_seconds * RATE), 0
    for pcm in _pcm(media):
        written += len(pcm) // 2
        if written > limit:
            raise Rejected("too_long", limit=in_words(max_seconds))
        _write(pipe, b"A", pcm)
        sandbox.keep_going()
    seconds = written / RATE
    if media.damaged and (seconds < MEANINGFUL_SECONDS or media.damaged > media.intact):
        raise Rejected("undecodable")
    if not written:
        raise Rejected("no_audio")
    _send(pipe, b"E", {"warnings": list(_warnings(media, source.declared_seconds, seconds))})


def _pcm(media: Any) -> Iterator[bytes]:
    """Yield the recording as mono PCM in frames of equal size (the last one shorter)."""
    import numpy as np  # noqa: PLC0415 (loaded by `load_libraries`, in decoders only)

    from .downmix import Downmixer  # noqa: PLC0415 (likewise)

    def blocks() -> Iterator[Any]:
        mixer: Downmixer | None = None
        channels = 0
        for samples in media.blocks():
            if mixer is None or samples.shape[0] != channels:
                if mixer is not None:
                    yield mixer.flush()
                channels = samples.shape[0]
                mixer = Downmixer(channels)
            yield mixer.feed(samples)
        if mixer is not None:
            yield mixer.flush()

    held = bytearray()
    for mono in blocks():
        whole = np.nan_to_num(mono, nan=0.0, posinf=1.0, neginf=-1.0)
        held += np.clip(np.rint(whole * 32768.0), -32768, 32767).astype("<i2").tobytes()
        while len(held) >= FRAME_BYTES:
            yield bytes(held[:FRAME_BYTES])
            del held[:FRAME_BYTES]
    if held:
        yield bytes(held)


def _warnings(media: Any, declared: float | None, seconds: float) -> Iterator[dict[str, str]]:
    if media.damaged:
        text = f"The recording is damaged: {media.damaged} pieces of it could not be decoded and are missing."
        yield {"code": "damaged", "text": text}
    if media.gap_seconds:
        text = f"The recording has gaps: {media.gap_seconds:.1f} seconds of it hold no sound and are taken as silence."
        yield {"code": "gaps", "text": text}
    if declared is not None and seconds < 0.9 * declared - 1.0:
        text = (
            f"The recording breaks off: it says it lasts {in_words(round(declared))}, but holds {seconds:.0f} seconds."
        )
        yield {"code": "truncated", "text": text}


def _send(pipe: BinaryIO, kind: bytes, value: dict[str, Any]) -> None:
    _write(pipe, kind, json.dumps(value, ensure_ascii=False).encode())


def _write(pipe: BinaryIO, kind: bytes, payload: bytes) -> None:
    view = memoryview(HEADER.pack(kind, len(payload)) + payload)
    while view:
        view = view[pipe.write(view) :]
