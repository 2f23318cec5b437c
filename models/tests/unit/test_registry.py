"""The registry says what openai-whisper says."""

import base64
import gzip

import numpy as np
import pytest

from models import EXPECTED, LANGUAGE_CODES, MODELS


def test_every_model_that_a_full_installation_holds_is_registered() -> None:
    assert set(EXPECTED) <= set(MODELS)


def test_languages_follow_from_the_vocabulary() -> None:
    assert len(MODELS["base"].languages) == 99
    assert len(MODELS["large-v3"].languages) == 100
    assert MODELS["large-v3"].languages[-1] == "yue"
    assert MODELS["base.en"].languages == ("en",)


@pytest.mark.parametrize("name", MODELS)
def test_alignment_heads_exist_in_the_model(name: str) -> None:
    model = MODELS[name]
    assert model.alignment_heads
    assert all(layer < model.decoder_layers and head < model.heads for layer, head in model.alignment_heads)


@pytest.mark.torch
def test_checksums_addresses_and_alignment_heads_are_the_published_ones() -> None:
    whisper = pytest.importorskip("whisper")
    for name, model in MODELS.items():
        assert whisper._MODELS[name] == model.pt_url
        flat = np.frombuffer(gzip.decompress(base64.b85decode(whisper._ALIGNMENT_HEADS[name])), dtype=bool)
        pairs = [divmod(int(index), model.heads) for index in np.flatnonzero(flat)]
        assert list(model.alignment_heads) == pairs
        assert len(flat) == model.decoder_layers * model.heads


@pytest.mark.torch
def test_language_codes_are_in_the_order_of_the_tokens() -> None:
    tokenizer = pytest.importorskip("whisper.tokenizer")
    assert list(LANGUAGE_CODES) == list(tokenizer.LANGUAGES)
