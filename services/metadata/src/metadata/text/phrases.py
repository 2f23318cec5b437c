"""Keyword candidates for Chinese, Japanese and Korean, which do not separate words by spaces.

Works without a dictionary, by repetition and script.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+[A-Za-z0-9+]|[A-Z][A-Z0-9]")

# Kanji compounds and katakana words carry the content of a Japanese sentence, hiragana its grammar.
_JAPANESE = re.compile(rf"[{_HAN}々]{{2,8}}|[\u30a1-\u30fa\u30fc]{{3,}}")
_JAPANESE_COMMON = _words("今日 今回 自分 時間 場合 必要 本当 一番 最初 最後 次回 皆様 私達 一緒 全部 先程 大丈夫")

# Grammatical characters; a run of text is cut at each of them.
_CHINESE_GRAMMAR = (
    "的了是在和也就都而及与與或吗嗎呢吧啊这這那我你您他她它们們着過过把被让讓给給从從到对對很还還又个個之其"
)
_CHINESE_RUN = re.compile(rf"[{_HAN}]{{2,}}")
_CHINESE_COMMON = _words(
    "一个 一些 一样 一下 什么 怎么 没有 可以 因为 所以 但是 如果 现在 时候 已经 "
    "非常 就是 不是 然后 还有 自己 大家 知道 觉得 可能 应该 什麼 怎麼 沒有 因為 "
    "現在 時候 已經 覺得 應該"
)

_HANGUL = re.compile(r"[\uac00-\ud7a3]{2,}")
_PARTICLE = re.compile(
    r"(에서는|에서|에게|께서|까지|부터|으로|처럼|보다|이나|에는|은|는|이|가|을|를|에|의|로|와|과|도|만)$"
)
_KOREAN_VERB = re.compile(r"(다|요|죠|까|고|서|며|면|지만|는데|니다|어야|아야|하는|되는|있는|없는|했던|한)$")
_KOREAN_COMMON = _words(
    "그리고 그래서 그러나 하지만 우리 저희 이것 그것 저것 여기 거기 이런 그런 정말 오늘 지금 때문 정도 경우 그냥"
)


def _japanese(text: str) -> Counter[str]:
    return Counter(run for run in _JAPANESE.findall(text) if run not in _JAPANESE_COMMON)


def _chinese(text: str) -> Counter[str]:
    """Repeated runs of two to six characters in different contexts.

    A part of a longer word always has the same neighbour on one side; a word has several (accessor variety).
    """
    counts: Counter[str] = Counter()
    before: defaultdict[str, set[str]] = defaultdict(set)
    after: defaultdict[str, set[str]] = defaultdict(set)
    pieces = [piece for run in _CHINESE_RUN.findall(text) for piece in re.split(f"[{_CHINESE_GRAMMAR}]", run)]
    for number, piece in enumerate(pieces):
        for start in range(len(piece) - 1):
            for end in range(start + 2, min(start + 6, len(piece)) + 1):
                gram = piece[start:end]
                counts[gram] += 1
                # The edge of a piece counts as a different neighbour each time.
                before[gram].add(piece[start - 1] if start else f"^{number}")
                after[gram].add(piece[end] if end < len(piece) else f"${number}")
    return Counter(
        {
            gram: count
            for gram, count in counts.items()
            if count > 1 and min(len(before[gram]), len(after[gram])) > 1 and gram not in _CHINESE_COMMON
        }
    )


def _korean(text: str) -> Counter[str]:
    stems = (_PARTICLE.sub("", word) for word in _HANGUL.findall(text) if not _KOREAN_VERB.search(word))
    return Counter(stem for stem in stems if len(stem) > 1 and stem not in _KOREAN_COMMON)


CANDIDATES: dict[str, Callable[[str], Counter[str]]] = {
    "ja": _japanese,
    "ko": _korean,
    "yue": _chinese,
    "zh": _chinese,
}


def ranked(text: str, language: str) -> list[tuple[str, float]]:
    """Phrases of a text in one of the languages of CANDIDATES, best first, with a weight (greater is better)."""
    counts = CANDIDATES[language](text)
    counts.update(_LATIN.findall(text))
    weighed = ((phrase, count * min(len(phrase), 6) ** 0.5) for phrase, count in counts.items())
    return sorted(weighed, key=lambda entry: (-entry[1], entry[0]))
