"""Benchmarks of the torch engine on a GPU against openai-whisper on the same card."""
