"""Whisper's language codes, and the other codes and names of languages that are accepted."""

import unicodedata
from difflib import get_close_matches
from typing import Final

from langcodes import standardize_tag
from langcodes.tag_parser import LanguageTagError

from .registry import LANGUAGE_CODES, MODELS

# English and native names, in the order of LANGUAGE_CODES; underscores stand for spaces.
_ENGLISH: Final = (
    "english chinese german spanish russian korean french japanese portuguese turkish polish catalan dutch arabic"
    " swedish italian indonesian hindi finnish vietnamese hebrew ukrainian greek malay czech romanian danish hungarian"
    " tamil norwegian thai urdu croatian bulgarian lithuanian latin maori malayalam welsh slovak telugu persian latvian"
    " bengali serbian azerbaijani slovenian kannada estonian macedonian breton basque icelandic armenian nepali"
    " mongolian bosnian kazakh albanian swahili galician marathi punjabi sinhala khmer shona yoruba somali afrikaans"
    " occitan georgian belarusian tajik sindhi gujarati amharic yiddish lao uzbek faroese haitian_creole pashto turkmen"
    " nynorsk maltese sanskrit luxembourgish myanmar tibetan tagalog malagasy assamese tatar hawaiian lingala hausa"
    " bashkir javanese sundanese cantonese"
)
_NATIVE: Final = (
    "english 中文 deutsch español русский 한국어 français 日本語 português türkçe polski català nederlands العربية"
    " svenska italiano bahasa_indonesia हिन्दी suomi tiếng_việt עברית українська ελληνικά bahasa_melayu čeština română"
    " dansk magyar தமிழ் norsk ไทย اردو hrvatski български lietuvių latina te_reo_māori മലയാളം cymraeg slovenčina"
    " తెలుగు فارسی latviešu বাংলা српски azərbaycanca slovenščina ಕನ್ನಡ eesti македонски brezhoneg euskara íslenska"
    " հայերեն नेपाली монгол bosanski қазақша shqip kiswahili galego मराठी ਪੰਜਾਬੀ සිංහල ខ្មែរ chishona yorùbá soomaali"
    " afrikaans occitan ქართული беларуская тоҷикӣ سنڌي ગુજરાતી አማርኛ ייִדיש ລາວ oʻzbekcha føroyskt kreyòl_ayisyen پښتو"
    " türkmençe nynorsk malti संस्कृतम् lëtzebuergesch မြန်မာ བོད་སྐད་ tagalog malagasy অসমীয়া татарча ʻōlelo_hawaiʻi lingála"
    " hausa башҡортса basa_jawa basa_sunda 粵語"
)
_FURTHER_NAMES: Final = {
    "bokmål": "no",
    "burmese": "my",
    "castilian": "es",
    "farsi": "fa",
    "filipino": "tl",
    "flemish": "nl",
    "haitian": "ht",
    "letzeburgesch": "lb",
    "mandarin": "zh",
    "moldavian": "ro",
    "moldovan": "ro",
    "norwegian bokmål": "no",
    "norwegian nynorsk": "nn",
    "panjabi": "pa",
    "pushto": "ps",
    "sinhalese": "si",
    "valencian": "ca",
}
# Codes that langcodes distinguishes and Whisper does not: written standards, members of a macrolanguage.
_SAME: Final = {
    **dict.fromkeys(("nb", "nor"), "no"),
    "fil": "tl",
    "jv": "jw",
    **dict.fromkeys(["acm", "acq", "aeb", "afb", "ajp", "apc", "apd", "arb", "arq", "ars", "ary", "arz"], "ar"),
    **dict.fromkeys(["cmn", "gan", "hak", "hsn", "nan", "wuu"], "zh"),
}


_LONGEST: Final = 64


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())


_NAMES: Final = _FURTHER_NAMES | {
    _plain(name): code
    for names in (_NATIVE, _ENGLISH)
    for name, code in zip(names.split(), LANGUAGE_CODES, strict=True)
}


class UnknownLanguage(ValueError):
    """The text names no language of Whisper, or none of the model; the message is a sentence for users."""


def language_code(asked: str) -> str:
    """Whisper's code for a language; raises UnknownLanguage.

    Accepts ISO 639-1, -2 and -3 codes, also old ones, tags with script or region (`pt-BR`, `en_US`), and names in
    English or the language itself.
    """
    name = _plain(asked[:_LONGEST])
    if name in LANGUAGE_CODES:
        return name
    if name in _NAMES:
        return _NAMES[name]
    try:
        tag = standardize_tag(name.replace(" ", "-"), macro=True)
    except (LanguageTagError, ValueError):
        tag = ""
    code = tag.partition("-")[0]
    code = _SAME.get(code, code)
    if code in LANGUAGE_CODES:
        return code
    alike = get_close_matches(name, _NAMES, n=1, cutoff=0.75)
    hint = f" Do you mean {alike[0]}?" if alike else ""
    raise UnknownLanguage(
        f"{asked[:40]!r} is no language that can be transcribed.{hint} Use a code such as en, an English name, or"
        f" auto to have the language detected. The codes are: {', '.join(sorted(LANGUAGE_CODES))}."
    )


def languages_of(model: str) -> tuple[str, ...]:
    """The codes of the languages of a model; for an unregistered model its name decides: `.en` is English only."""
    if model in MODELS:
        return MODELS[model].languages
    return ("en",) if model.endswith(".en") else LANGUAGE_CODES


def language_for(model: str, asked: str) -> str:
    """Whisper's code for a language of the model; raises UnknownLanguage."""
    code = language_code(asked)
    known = languages_of(model)
    if code not in known:
        only = " It knows English only." if known == ("en",) else ""
        raise UnknownLanguage(f"The model {model} does not know the language {code}.{only} Choose another model.")
    return code
