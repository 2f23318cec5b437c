"""Recordings broken at random: each is decoded as far as it goes or rejected in words, within its limits.

A short run by default. `make fuzz SECONDS=600 SEED=7` goes on for longer and prints what it did; a file that broke a
rule is kept, and `SEED=<its number>` makes it again.
"""

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from support.hostile_media import mutated, samples_of_formats
from transcriber.audio.decoders import Decoders
from transcriber.errors import Rejected

CASES = 120
LIMIT = 120.0  # seconds of audio; repeated pieces must not make a second of speech longer than that
PATIENCE = 90.0  # seconds for a file; a decoder is ended after 60 s of CPU without a sample
FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
FUZZ_SEED = int(os.environ.get("FUZZ_SEED", "1"))


async def outcome(decoders: Decoders, path: Path) -> str:
    """What became of a file; anything but these words is an exception."""
    received = 0
    try:
        async with decoders.decode(path, max_seconds=LIMIT) as decoding:
            async for block in decoding:
                received += len(block)
                assert received <= (LIMIT + 1) * 32_000
    except Rejected as rejected:
        return rejected.code if rejected.reason.endswith(".") else f"{rejected.code} without a sentence"
    return "damaged" if decoding.warnings else "decoded"


async def test_samples_are_fine_before_they_are_broken(tmp_path: Path) -> None:
    path = tmp_path / "sample"
    async with Decoders() as decoders:
        for name, content in samples_of_formats().items():
            path.write_bytes(content)
            assert await outcome(decoders, path) == "decoded", name


@pytest.mark.parametrize("seed", [500_092, 500_329, 9_000_083, 9_000_774])
async def test_what_once_broke_a_rule_is_rejected_in_words(tmp_path: Path, seed: int) -> None:
    """CAF whose chunks point before its beginning, where the seek failed as if the disk had; AU at impossible rates."""
    _, content = mutated(samples_of_formats(), seed)
    path = tmp_path / "broken"
    path.write_bytes(content)
    async with Decoders() as decoders:
        assert await outcome(decoders, path) == "undecodable"


async def test_broken_recordings_are_decoded_or_rejected_within_limits(tmp_path: Path) -> None:
    samples = samples_of_formats()
    path = tmp_path / "broken"
    outcomes: Counter[str] = Counter()
    began, slowest, seed = time.monotonic(), 0.0, FUZZ_SEED
    async with Decoders() as decoders:
        while seed < FUZZ_SEED + CASES or time.monotonic() - began < FUZZ_SECONDS:
            name, content = mutated(samples, seed)
            path.write_bytes(content)
            started = time.monotonic()
            try:
                outcomes[await outcome(decoders, path)] += 1
            except Exception as error:
                kept = path.rename(path.with_name(f"broken-{name}-{seed}"))
                pytest.fail(f"a broken {name} (seed {seed}, kept as {kept}): {error!r}")
            slowest = max(slowest, time.monotonic() - started)
            seed += 1
    print(f"seeds {FUZZ_SEED} to {seed - 1}: {dict(outcomes)}, the slowest {slowest:.1f} s")
    assert outcomes.keys() <= {"decoded", "damaged", "undecodable", "no_audio", "empty_file", "too_long"}
    assert len(outcomes) >= 3, "the breaks are neither too gentle nor too rough"
    assert slowest < PATIENCE
