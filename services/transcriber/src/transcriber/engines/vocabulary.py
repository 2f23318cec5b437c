"""Whisper's byte-level vocabulary as CTranslate2 folders carry it: tokens to text, text to tokens, tokens to words."""

import json
import re
import string
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from .base import LanguageUnsupported, ModelUnavailable, Task, Word

# Languages without spaces between words: each character counts as a word.
UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
_SMALLEST_MULTILINGUAL = 51_865
_MAX_PROMPT_TOKENS = 223
_SECONDS_PER_FRAME = 0.02  # of CTranslate2's alignment
_PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


class Vocabulary:
    """The tokens of one model."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """Take the tokens in the order of their numbers, as in vocabulary.json."""
        self._ids = {token: number for number, token in enumerate(tokens)}
        self.end_of_text = self._ids["<|endoftext|>"]
        self.start = self._ids["<|startoftranscript|>"]
        self._bytes = _to_bytes(tokens[: self.end_of_text])
        self._ranks = {piece: number for number, piece in enumerate(self._bytes)}
        control = self._ids["<|translate|>"]
        # English-only vocabularies list the language tokens too, but are one token short.
        self.is_multilingual = len(tokens) >= _SMALLEST_MULTILINGUAL
        self.languages = (
            tuple(token[2:-2] for token in tokens[self.start + 1 : control]) if self.is_multilingual else ("en",)
        )

    @classmethod
    def of_folder(cls, folder: Path) -> "Vocabulary":
        """Read vocabulary.json, or vocabulary.txt of older conversions."""
        try:
            listed = folder / "vocabulary.json"
            if listed.is_file():
                return cls(json.loads(listed.read_text(encoding="utf-8")))
            return cls((folder / "vocabulary.txt").read_text(encoding="utf-8").rstrip("\n").split("\n"))
        except (OSError, ValueError, KeyError) as error:
            raise ModelUnavailable(f"The vocabulary in {folder} cannot be read: {error}") from error

    def start_sequence(self, language: str, task: Task) -> list[int]:
        """Return the control tokens for language and task; LanguageUnsupported if the model does not support them."""
        if not self.is_multilingual:
            if language != "en" or task != "transcribe":
                raise LanguageUnsupported("This model only transcribes English.")
            return [self.start]
        if language not in self.languages:
            raise LanguageUnsupported(f"This model does not support the language '{language}'.")
        return [self.start, self._ids[f"<|{language}|>"], self._ids[f"<|{task}|>"]]

    def prompt(self, language: str, task: Task, previous_text: str | None) -> list[int]:
        """Return the first tokens for the decoder, without time tokens; of a long prompt only the end counts."""
        before: list[int] = []
        if previous_text and previous_text.strip():
            before = [self._ids["<|startofprev|>"], *self.encode(" " + previous_text.strip())[-_MAX_PROMPT_TOKENS:]]
        return [*before, *self.start_sequence(language, task), self._ids["<|notimestamps|>"]]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of these tokens; control and time tokens have none."""
        return b"".join(self._bytes[token] for token in tokens if token < self.end_of_text).decode(errors="replace")

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, as Whisper's own tokenizer would (rare numerals aside)."""
        return [token for piece in _PIECES.findall(text) for token in self._merge(piece.encode())]

    def _merge(self, piece: bytes) -> list[int]:
        parts = [piece[index : index + 1] for index in range(len(piece))]
        while len(parts) > 1:
            pairs = (left + right for left, right in pairwise(parts))
            rank, index = min((self._ranks.get(pair, len(self._ranks)), index) for index, pair in enumerate(pairs))
            if rank == len(self._ranks):
                break
            parts[index : index + 2] = [parts[index] + parts[index + 1]]
        return [self._ranks[part] for part in parts]

    def split_words(self, tokens: Sequence[int], language: str) -> list[tuple[str, int]]:
        """Split text tokens into words, each with its number of tokens. Joined, the words are the text."""
        pieces = self._characters(tokens)
        if language in UNSPACED_LANGUAGES:
            return pieces
        words: list[tuple[str, int]] = []
        for text, count in pieces:
            if words and not text.startswith(" ") and text.strip() not in string.punctuation:
                words[-1] = (words[-1][0] + text, words[-1][1] + count)
            else:
                words.append((text, count))
        return words

    def words(
        self, tokens: Sequence[int], alignment: Sequence[tuple[int, int]], probabilities: Sequence[float], language: str
    ) -> list[Word]:
        """Build words from (token, frame) pairs: each begins with its first token and ends where the next begins."""
        pairs = np.array(alignment)
        begins = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
        times = pairs[begins, 1] * _SECONDS_PER_FRAME
        words, position = [], 0
        for text, count in self.split_words(tokens, language):
            end = min(position + count, len(times) - 1)
            probability = float(np.mean(probabilities[position : position + count]))
            words.append(Word(float(times[min(position, end)]), float(times[end]), text, probability))
            position += count
        return words

    def _characters(self, tokens: Sequence[int]) -> list[tuple[str, int]]:
        """Split between characters: a token may end within one."""
        pieces: list[tuple[str, int]] = []
        pending, count = b"", 0
        for token in tokens:
            pending, count = pending + self._bytes[token], count + 1
            try:
                pieces.append((pending.decode(), count))
            except UnicodeDecodeError as error:
                if error.reason == "unexpected end of data":
                    continue
                pieces.append((pending.decode(errors="replace"), count))
            pending, count = b"", 0
        if count:
            pieces.append((pending.decode(errors="replace"), count))
        return pieces


def _to_bytes(tokens: Sequence[str]) -> list[bytes]:
    """Undo GPT-2's spelling of bytes as printable characters."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = (byte for byte in range(256) if byte not in printable)
    letters = {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
    return [bytes(letters[letter] for letter in token) for token in tokens]
