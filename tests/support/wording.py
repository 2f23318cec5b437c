"""How close a transcript is to what was said."""

import re

import jiwer


def normalised(text: str) -> str:
    """Lower case words without punctuation."""
    return " ".join(re.findall(r"[\w']+", text.lower()))


def word_error_rate(reference: str, heard: str) -> float:
    """Errors per word of the reference, punctuation and case aside."""
    return float(jiwer.wer(normalised(reference), normalised(heard)))
