"""Loops of the process: what it does without a request or a message."""
