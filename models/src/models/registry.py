"""The Whisper models: shape, languages, and the official file with its checksum.

Checksums and addresses are the ones that openai-whisper 20250625 publishes in `whisper._MODELS`; a test compares them.
"""

from dataclasses import dataclass

OFFICIAL_HOST = "https://openaipublic.azureedge.net/main/whisper/models"

# The order is the order of the language tokens in the vocabulary.
_CODES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la "
    "mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be "
    "tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue"
)
LANGUAGE_CODES = tuple(_CODES.split())

# Text, task, control and time tokens of a multilingual vocabulary.
_TOKENS_BESIDE_LANGUAGES = 51_766


@dataclass(frozen=True, slots=True)
class Model:
    """One Whisper model.

    `parameters` in millions; `alignment_heads` are the (layer, head) pairs whose attention follows the words in time.
    """

    name: str
    parameters: int
    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    pt_sha256: str
    alignment_heads: tuple[tuple[int, int], ...]
    n_mels: int = 80
    vocabulary: int = 51_865

    @property
    def languages(self) -> tuple[str, ...]:
        """The language codes of the model."""
        return ("en",) if self.name.endswith(".en") else LANGUAGE_CODES[: self.vocabulary - _TOKENS_BESIDE_LANGUAGES]

    @property
    def pt_url(self) -> str:
        """The official address of the `.pt` file."""
        return f"{OFFICIAL_HOST}/{self.pt_sha256}/{self.name}.pt"

    @property
    def megabytes(self) -> int:
        """The size of the weights in half precision, as all official files are stored."""
        return self.parameters * 2


def _model(
    name: str,
    parameters: int,
    shape: tuple[int, int, int, int],
    pt_sha256: str,
    flat_heads: str,
    *,
    n_mels: int = 80,
    vocabulary: int = 51_865,
) -> Model:
    width, heads, encoder_layers, decoder_layers = shape
    return Model(
        name=name,
        parameters=parameters,
        width=width,
        heads=heads,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        pt_sha256=pt_sha256,
        alignment_heads=tuple(divmod(int(head), heads) for head in flat_heads.split()),
        n_mels=n_mels,
        vocabulary=51_864 if name.endswith(".en") else vocabulary,
    )


_TINY, _BASE, _SMALL = (384, 6, 4, 4), (512, 8, 6, 6), (768, 12, 12, 12)
_MEDIUM, _LARGE, _TURBO = (1024, 16, 24, 24), (1280, 20, 32, 32), (1280, 20, 32, 4)

_MODELS = (
    _model(
        "tiny",
        39,
        _TINY,
        "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9",
        "14 18 20 21 22 23",
    ),
    _model(
        "tiny.en",
        39,
        _TINY,
        "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03",
        "6 12 17 18 19 20 21 22",
    ),
    _model(
        "base",
        74,
        _BASE,
        "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e",
        "25 34 35 39 41 42 44 46",
    ),
    _model(
        "base.en",
        74,
        _BASE,
        "25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead",
        "27 39 41 45 47",
    ),
    _model(
        "small",
        244,
        _SMALL,
        "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794",
        "63 69 96 100 103 104 108 115 117 125",
    ),
    _model(
        "small.en",
        244,
        _SMALL,
        "f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872",
        "78 84 87 92 98 101 103 108 112 116 118 120 121 122 123 126 131 134 136",
    ),
    _model(
        "medium",
        769,
        _MEDIUM,
        "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1",
        "223 244 255 257 320 372",
    ),
    _model(
        "medium.en",
        769,
        _MEDIUM,
        "d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f",
        "180 225 236 238 244 256 260 265 284 286 295 298 303 320 323 329 334 348",
    ),
    _model(
        "large-v1",
        1550,
        _LARGE,
        "e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a",
        "199 222 224 237 447 451 457 462 475",
    ),
    _model(
        "large-v2",
        1550,
        _LARGE,
        "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524",
        "212 277 331 332 333 355 356 364 371 379 391 422 423 443 449 452 465 467 473 505 521 532 555",
    ),
    _model(
        "large-v3",
        1550,
        _LARGE,
        "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb",
        "140 217 258 272 321 354 391 424 481 506",
        n_mels=128,
        vocabulary=51_866,
    ),
    _model(
        "large-v3-turbo",
        809,
        _TURBO,
        "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a",
        "44 51 63 66 71 74",
        n_mels=128,
        vocabulary=51_866,
    ),
)

MODELS = {model.name: model for model in _MODELS}

EXPECTED = ("tiny", "base", "small", "medium", "large-v3")
"""The models of a full installation; missing ones are logged at start."""
