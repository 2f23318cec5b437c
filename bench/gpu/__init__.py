"""How fast the torch engine transcribes on a GPU, against openai-whisper on the same card."""
