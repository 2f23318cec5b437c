"""Recordings in: the sandboxed decoder process, tracks, mixing, and the waveform; out comes 16 kHz mono PCM."""
