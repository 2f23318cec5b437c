"""Around one decode: re-decoding, filtering words without speech, word times, and segments of the recording."""
