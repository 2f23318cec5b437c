"""Our loops over openai-whisper's weights give openai-whisper's results, for every model layout and batch."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the transcriber's torch extra is not installed")
whisper = pytest.importorskip("whisper", reason="the transcriber's torch extra is not installed")

from whisper import timing  # noqa: E402 (after the check that it is there)
from whisper.audio import log_mel_spectrogram, pad_or_trim  # noqa: E402
from whisper.decoding import DecodingTask  # noqa: E402
from whisper.model import ModelDimensions  # noqa: E402

from transcriber.engines import openai_whisper  # noqa: E402
from transcriber.engines.base import (  # noqa: E402
    DecodeOptions,
    DeviceFailed,
    LanguageUnsupported,
    ModelUnavailable,
    Window,
)
from transcriber.engines.hypothesis import Hypothesis  # noqa: E402
from transcriber.engines.openai_whisper import OpenAIWhisperEngine  # noqa: E402
from transcriber.engines.torch_whisper import alignment, loading, slots  # noqa: E402
from transcriber.engines.torch_whisper.reference import EncodedModel  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    # openai-whisper's tokenizer leaves its vocabulary file open.
    pytest.mark.filterwarnings("ignore:unclosed file.*tiktoken:ResourceWarning"),
]

ENGLISH = DecodeOptions(language="en")
WIDTH, HEADS = 128, 2
# Vocabulary, mel bins and layers as those models have them, but narrow and shallow.
LAYOUTS = {
    "large-v3": {"n_mels": 128, "n_vocab": 51_866, "n_audio_layer": 2, "n_text_layer": 2},
    "large-v3-turbo": {"n_mels": 128, "n_vocab": 51_866, "n_audio_layer": 2, "n_text_layer": 1},
    "small.en": {"n_mels": 80, "n_vocab": 51_864, "n_audio_layer": 1, "n_text_layer": 2},
}


class Undoubting(OpenAIWhisperEngine):
    """Accepts the text of random weights; by default it would be decoded again."""

    @staticmethod
    def _is_uncertain(text: Hypothesis) -> bool:
        return False


def invented(layout: str) -> Any:
    torch.manual_seed(7)
    dims = ModelDimensions(
        n_audio_ctx=1500, n_audio_state=WIDTH, n_audio_head=HEADS, n_text_ctx=448, n_text_state=WIDTH,
        n_text_head=HEADS, **LAYOUTS[layout],
    )  # fmt: skip
    model = whisper.model.Whisper(dims)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "ln" not in name:
                parameter.normal_(0.0, 0.08)
    return model.eval()


def heads_of(model: Any) -> list[tuple[int, int]]:
    return [(model.dims.n_text_layer - 1, head) for head in range(HEADS)]


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    random = np.random.default_rng(3)
    return [random.normal(0, 0.1, int(16_000 * seconds)).astype(np.float32) for seconds in (30.0, 4.0)]


@pytest.fixture(autouse=True)
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_whisper, "dtype_for", lambda _device: torch.float32)
    # Long texts of babble prove no more than short ones.
    monkeypatch.setattr(DecodingTask, "_verify_options", lambda _task, options: replace(options, sample_len=12))
    # Compiling it takes longer than running it as it is written.
    monkeypatch.setattr(timing, "dtw_cpu", timing.dtw_cpu.py_func)


def engine_of(layout: str, **options: Any) -> OpenAIWhisperEngine:
    model = invented(layout)
    return Undoubting(model, heads_of(model), name=layout, sha256="0", device="cpu", **options)


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    torch.set_num_threads(1)
    name: str = request.param
    return name


def test_text_and_times_are_those_of_openai_whisper(layout: str, windows: list[Window]) -> None:
    reference, engine = invented(layout), engine_of(layout)
    mask = torch.zeros(reference.dims.n_text_layer, HEADS, dtype=torch.bool)
    mask[-1] = True
    reference.register_buffer("alignment_heads", mask.to_sparse(), persistent=False)
    tokenizer = engine._reference.tokenizer(ENGLISH)
    with torch.inference_mode():
        found = dict(engine._greedy(windows, engine._search(ENGLISH)))
        for index, window in enumerate(windows):
            mel = log_mel_spectrogram(pad_or_trim(torch.from_numpy(window)), reference.dims.n_mels)
            encoded = reference.encoder(mel[None])
            [expected] = DecodingTask(reference, engine._reference.options(ENGLISH, {})).run(encoded)
            spoken = found[index]
            assert spoken.tokens == tuple(expected.tokens)
            assert spoken.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-3)
            assert spoken.no_speech_prob == pytest.approx(expected.no_speech_prob, abs=1e-4)
            frames = len(window) // 160
            timings = timing.find_alignment(EncodedModel(reference), tokenizer, list(spoken.tokens), encoded[0], frames)
            path = alignment.Path.of(spoken, engine._search(ENGLISH).aligned_from, frames // 2)
            words = path.words(spoken, tokenizer)
            assert [word.word for word in words] == [expected.word for expected in timings]
            assert [word.start for word in words] == pytest.approx([float(expected.start) for expected in timings])
            assert [word.probability for word in words] == pytest.approx(
                [float(expected.probability) for expected in timings], abs=1e-3
            )


def test_results_do_not_depend_on_the_other_windows(windows: list[Window]) -> None:
    engine = engine_of("large-v3-turbo")
    many = [*windows, windows[0][:100_000]]
    together = engine.decode(many, ENGLISH)
    assert engine.decode(many[1:2], ENGLISH) == together[1:2]
    assert engine.decode(many[::-1], ENGLISH) == together[::-1]


def test_a_prompt_of_the_maximum_length_is_used_completely(windows: list[Window]) -> None:
    prompted = DecodeOptions(language="en", initial_prompt="names and terms " * 200)
    engine = engine_of("small.en")
    assert engine.decode(windows[:1], prompted) != engine.decode(windows[:1], ENGLISH)


def test_english_only_models_refuse_other_languages(windows: list[Window]) -> None:
    with pytest.raises(LanguageUnsupported):
        engine_of("small.en").decode(windows[:1], DecodeOptions(language="de"))
    assert engine_of("small.en").detect_language(windows[:1]) == ("en", 1.0)


def test_multilingual_windows_are_decoded_in_their_own_language(windows: list[Window]) -> None:
    engine = engine_of("large-v3")
    results = engine.decode(windows, DecodeOptions(language="en", multilingual=True))
    assert len(results) == len(windows)
    assert {result.language for result in results} <= set(whisper.tokenizer.LANGUAGES)


def test_out_of_memory_halves_the_number_of_slots(windows: list[Window], monkeypatch: pytest.MonkeyPatch) -> None:
    engine, expected = engine_of("small.en", slots=16), engine_of("small.en", slots=4).decode(windows, ENGLISH)
    roomy = slots.Slots

    def tight(network: Any, count: int, heads: Any) -> Any:
        if count > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return roomy(network, count, heads)

    monkeypatch.setattr(openai_whisper, "Slots", tight)
    assert engine.decode(windows, ENGLISH) == expected
    assert engine.batch_windows == 4
    monkeypatch.setattr(openai_whisper, "Slots", lambda *_: tight(None, 8, None))
    engine._slots = None
    with pytest.raises(MemoryError):
        engine.decode(windows, ENGLISH)


def test_a_device_error_raises_device_failed() -> None:
    with pytest.raises(DeviceFailed), openai_whisper._device_errors(on_gpu=True):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    with pytest.raises(RuntimeError, match="shape"), openai_whisper._device_errors(on_gpu=True):
        raise RuntimeError("shape mismatch")


def test_medians_are_medians() -> None:
    values = torch.randn(3, 5, 40)
    padded = torch.nn.functional.pad(values, (3, 3), mode="reflect")
    assert torch.equal(alignment._medians(values), padded.unfold(-1, 7, 1).median(-1).values)
    assert torch.equal(alignment._medians(values[..., :3]), values[..., :3])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 40), (30, 200), (5, 3)])
def test_the_path_of_least_cost_is_that_of_openai_whisper(shape: tuple[int, int]) -> None:
    cost = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    rows, columns = timing.dtw_cpu(cost.astype(np.float64))
    expected = [columns[0], *(columns[index + 1] for index, (a, b) in enumerate(pairwise(rows)) if a != b)]
    assert alignment._first_frames(cost).tolist() == expected


def test_an_unreadable_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "base.pt").write_bytes(b"nothing")
    with pytest.raises(ModelUnavailable):
        loading.load(tmp_path / "base.pt", "base")
