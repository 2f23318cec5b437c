"""Voice activity: the detector, spans of speech, their levels, and how spans are packed into windows and chunks."""
