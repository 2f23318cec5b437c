"""Whisper's forward pass for many windows at once: openai-whisper's weights, mel filters and tokens, our own loops.

`network.py` is the arithmetic, `slots.py` the windows in the decoder, `attention_cache.py` their keys and values,
`search.py` the parameters of a decode, `alignment.py` the word times, `reference.py` openai-whisper's own decoder.
"""
