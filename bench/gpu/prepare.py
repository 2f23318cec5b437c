"""`python -m bench.gpu.prepare RECORDING REFERENCE.json WINDOWS.npz`: plan windows on a machine without a GPU.

REFERENCE.json contains the spoken text under "ref". The GPU machine then needs neither decoders nor voice detector.
"""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np

from transcriber.audio.decoders import Decoders
from transcriber.engines.base import Window
from transcriber.speech.analysis import Analysis


def main(recording: Path, reference: Path, target: Path) -> None:
    """Store a recording's windows back to back, with their borders and the spoken text."""
    windows, seconds = asyncio.run(planned(recording))
    edges = np.cumsum([0, *(len(window) for window in windows)])
    np.savez_compressed(
        target,
        audio=np.rint(np.concatenate(windows) * 32768).clip(-32768, 32767).astype(np.int16),
        windows=np.stack([edges[:-1], edges[1:]], axis=1),
        reference=np.array(json.loads(reference.read_text())["ref"]),
    )
    print(f"{len(windows)} windows, {edges[-1] / 16_000:.0f} s of speech of {seconds:.0f} s")


async def planned(recording: Path) -> tuple[list[Window], float]:
    """Decode, find speech, pack windows; return them with the recording's length in seconds."""
    analysis, chunks = Analysis(), []
    async with Decoders() as decoders, decoders.decode(recording, max_seconds=86_400) as decoding:
        async for pcm in decoding:
            chunks += analysis.feed(pcm)
    chunks += analysis.finish()
    return [window for chunk in chunks for window in chunk.windows()], analysis.duration_seconds


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
