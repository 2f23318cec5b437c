"""Audio in, transcript out: decoding, voice activity, chunk plan, Whisper, assembly."""
