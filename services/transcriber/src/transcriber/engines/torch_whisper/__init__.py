"""Whisper's forward pass for many windows at once: openai-whisper's weights, mel filters and tokens, our own loops.

`network.py` is the arithmetic, `slots.py` the windows in the decoder at one time, `search.py` what a decode is asked
for, `alignment.py` the words' times.
"""
