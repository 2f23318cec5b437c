"""The sample format of the whole service: mono, 16 kHz, signed 16-bit little-endian."""

from typing import Final

SAMPLE_RATE: Final = 16_000
SAMPLE_BYTES: Final = 2
