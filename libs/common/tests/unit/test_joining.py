"""Pieces of running text are joined as the scripts at the seam are written, whatever the language of the whole."""

import pytest

from common.text.joining import joined


@pytest.mark.parametrize(
    ("before", "after", "between"),
    [
        # Scripts with spaces between words.
        ("ask not", "what your country", " "),
        ("Guten Tag.", "Wie geht's?", " "),
        ("Это я.", "Да", " "),
        ("Καλημέρα", "κόσμε", " "),
        ("مرحبا", "كيف حالك", " "),
        ("שלום", "עולם", " "),
        ("नमस्ते", "दुनिया", " "),
        ("আমি", "যাই", " "),
        ("வணக்கம்", "உலகம்", " "),
        ("안녕하세요", "여러분", " "),
        ("გამარჯობა", "მსოფლიო", " "),
        ("Բարեւ", "ձեզ", " "),
        ("ሰላም።", "እንዴት", " "),
        ("room 5", "10 people", " "),
        ("well -", "known", " "),
        # Scripts without.
        ("今天天气", "很好", ""),
        ("今日は。", "会議です。", ""),
        ("人々", "は", ""),
        ("コーヒー", "ﾊﾞﾅﾅ", ""),
        ("ㄅㄆ", "ㄇ", ""),
        ("สวัสดี", "ครับ", ""),
        ("ที่", "ฉัน", ""),
        ("ສະບາຍ", "ດີ", ""),
        ("ភាសា", "ខ្មែរ", ""),
        ("မြန်မာ", "စကား", ""),
        ("བོད་", "ཡིག", ""),
        # Mixed seams.
        ("真的", "Americans", ""),
        ("在", "2024", ""),
        ("2024", "年", ""),
        ("很好。", "And so", ""),
        ("he said", "「はい」", ""),
        ("你好,", "我们", ""),
        ("说“好”", "他", ""),
        ("Hello.", "你好", " "),
        ("你好.", "Hello", " "),
        ("좋아", "真的", " "),
        ("真的", "좋아", " "),
        ("ครับ", "Hello", " "),
        ("Windows", "ครับ", " "),
        ("😀", "Hi", " "),
        ("♪", "♪", " "),
    ],
)
def test_what_stands_at_a_seam(before: str, after: str, between: str) -> None:
    assert joined([before, after]) == f"{before}{between}{after}"


def test_empty_pieces_leave_nothing_and_spaces_around_pieces_go() -> None:
    assert joined([" one ", "", "  ", "two"]) == "one two"
    assert joined([]) == ""


def test_a_recording_that_changes_its_language_is_joined_seam_by_seam() -> None:
    assert joined(["今天很好。", "我们走", "And so my fellow", "Americans", "ask not", "真的"]) == (
        "今天很好。我们走And so my fellow Americans ask not真的"
    )
