"""Ends of sentences in any script: the rules of Unicode (UAX 29, from ICU), with rules of languages on top."""

import re
import unicodedata
from itertools import accumulate
from typing import Final

from icu4py.breakers import SentenceBreaker

_OPENING: Final = "\"'“‘«»„‚¿¡([{（「『"
_CLOSING: Final = r"[\"'”’»›)\]}）」』】》〉]*"
_UNSPACED: Final = "\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# Ends of sentences that Unicode does not define: the ellipsis, the Greek question mark, the Tibetan shad.
_MORE: Final = re.compile(
    rf"(?:[…‥]+|(?<=[\u0370-\u03ff\u1f00-\u1fff]);|[།༎]+){_CLOSING}(?:\s+|(?=[{_UNSPACED}]))(?=\S)"
)
_BEFORE_SMALL: Final = re.compile(rf"[.…]{_CLOSING}\s+(?=\S)")
# French has a space before the closing mark, which Unicode then counts to the next sentence.
_SPACED_CLOSING: Final = re.compile(r"[»›](?:\s+|$)")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Abbreviations that a name or another word follows: no sentence ends here. Case matters: a Swedish sentence may end
# with "sig", an Italian one not with "Sig".
_BEFORE_MORE: Final = _words(
    "Mr Mrs Ms Messrs Dr dr Prof prof St Mt Rev Hon Gov Gen Col Capt Cpt Lt Sgt vs approx e.g E.g i.e I.e cf viz "
    "Hr Frl z z.B Z.B d.h D.h u.a s.o s.u bzw ca evtl ggf inkl zzgl vgl Dipl Ing ing dhr Dhr mevr Mevr drs Drs bijv "
    "Mme Mlle MM Me p.ex Sr Sra Srta Dra Dña p.ej P.ej EE Sig Dott Avv t.ex T.ex bl.a mgr Mgr inż hab np tzn "
    "ул г им проф Проф акад т.е т.к напр κ κα π.χ δρ Δρ Doç Av örn Örn TP डॉ प्रो ড ডা د أ"
)
_BEFORE_NUMBERS: Final = _words("no nr nº núm num fig vol art par abb bd kap s p pp str стр рис č s.p εικ")
# These may end a sentence, but not before a small letter, like all with a full stop inside.
_BEFORE_SMALL_LETTERS: Final = _words("etc Etc usw Usw Inc Ltd Co Corp Jr Bros al enz osv atd itd ecc др д")
# Languages that write 3. for "third".
_ORDINALS: Final = _words("bs cs da de et fi fo hr hu is lb lv nb nn no pl sk sl sr tr")


def sentence_ends(text: str, language: str | None = None, *, small: bool = False) -> list[int]:
    """The offsets behind each sentence, its closing marks and the space after it; the last one is the text's end.

    With `small`, sentences may begin with a small letter, as in the text of a recogniser that starts amid speech.
    """
    found = set(accumulate(map(len, SentenceBreaker(text, "en"))))
    more = _MORE.finditer(text)
    if small:
        found |= {match.end() for match in _BEFORE_SMALL.finditer(text) if text[match.end()].islower()}
    # "So… what?" goes on, as after three full stops.
    found |= {match.end() for match in more if match[0][0] not in "…‥" or not text[match.end()].islower()}
    ends: list[int] = []
    for end in sorted(found):
        spaced = _SPACED_CLOSING.match(text, end)
        whole = spaced.end() if spaced else end
        # Unicode counts a bracket after a full stop to the sentence, also an opening one: 。「
        while whole < len(text) and unicodedata.category(text[whole - 1]) in ("Ps", "Pi"):
            whole -= 1
        new = not ends or whole > ends[-1]
        if new and (whole == len(text) or not _goes_on(text, whole, language)):
            ends.append(whole)
    return ends


def ends_sentence(before: str, after: str, language: str | None = None) -> bool:
    """Whether a sentence, or what a recogniser writes as one, ends where two pieces of running text meet."""
    met = f"{before.rstrip()} {after.lstrip()}"
    return len(before.rstrip()) + 1 in sentence_ends(met, language, small=True)


def _goes_on(text: str, end: int, language: str | None) -> bool:
    """Whether the full stop before an offset belongs to an abbreviation, an initial or an ordinal number."""
    before = text[max(0, end - 24) : end].split()
    if not before or not before[-1].endswith("."):
        return False
    word = before[-1].lstrip(_OPENING)[:-1]
    if len(word) == 1 and word.isupper():
        return word != "I"  # "So do I." is a sentence
    if text[end].isdigit() and word.casefold() in _BEFORE_NUMBERS:
        return True
    if word.isdecimal() and len(word) < 3:
        return language in _ORDINALS
    if text[end].islower() and ("." in word.strip(".") or word in _BEFORE_SMALL_LETTERS):
        return True
    return word in _BEFORE_MORE
