"""Subtitle lines break where each script permits it, and are not too wide."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.text.line_breaks import LINE_WIDTH, breaks, clusters, columns, ends_clause, fits, split_to_width, wrap

SCRIPTS = "abc def, 3.8-é語、。「」カッーกี่ิน้ำ안녕가नमस्ते。مرحبا😀👨‍👩‍👧/(“”)\u0301"


def test_a_short_text_is_one_line() -> None:
    assert wrap("Good day to you all.") == ("Good day to you all.",)


@pytest.mark.parametrize(
    ("language", "broken"),
    [
        ("en", "When you upload an interview, |the platform listens for speech"),
        ("en", "The well-known professor of anthropology |and-so-on counted 1,000,000 birds"),
        ("de", "Die Donaudampfschifffahrtsgesellschaft |hat 3,5 Millionen Euro verloren."),
        ("fr", "Comment allez-vous aujourd'hui, |madame ? Très bien, merci beaucoup !"),
        ("ru", "Сегодня мы обсудим новый продукт |и результаты прошлого квартала."),
        ("el", "Σήμερα θα συζητήσουμε το νέο |προϊόν και τα αποτελέσματα."),
        ("tr", "Bugün toplantıda yeni ürünü ve geçen |çeyreğin sonuçlarını konuşacağız."),
        ("vi", "Hôm nay chúng ta sẽ thảo luận về |sản phẩm mới và kết quả quý trước."),
        ("ar", "اليوم سنتحدث في هذا الاجتماع |عن المنتج الجديد ثم نأكل"),
        ("he", "היום נדבר בישיבה הזאת על המוצר |החדש ואחר כך נאכל צהריים"),
        ("hi", "आज हम इस बैठक में नए उत्पाद के बारे |में बात करेंगे और फिर खाना खाएंगे।"),
        ("bn", "আজ আমরা এই সভায় নতুন পণ্য |নিয়ে কথা বলব এবং তারপর খাব।"),
        ("ko", "안녕하세요 저는 오늘 회의에서 새로운 |제품에 대해 이야기하려고 합니다."),
        ("zh", "使用此工具可以快速检查|Microsoft的机器学习语音到文本模型"),
        ("zh", "今天我们在会议上讨论了微软|Microsoft发布的新产品和气温38.5度的问题"),
        ("zh", "今天我们 在会议上讨论了微软Microsoft发布|的新产品和气温38.5度的问题吗好"),
        ("zh", "你可以为在美国中使用英语的呼叫中心，|创建项目若要创建第一个项目"),
        ("ja", "今日は天気がとてもいいので、|公園まで歩いて行きましょうと言いました。"),
        ("ja", "東京タワーの高さは333メートルで、|「スカイツリー」より低いです。"),
        ("th", "ประชุมการตลาดวันนี้เราจะพูดถึง|เรื่องนี้และเรื่องอื่นๆที่เกี่ยวข้อง"),
        ("lo", "ມື້ນີ້ພວກເຮົາຈະເວົ້າກ່ຽວກັບ|ຜະລິດຕະພັນໃໝ່ໃນກອງປະຊຸມ"),
        ("km", "ថ្ងៃនេះយើងនឹងនិយាយអំពី|ផលិតផលថ្មីនៅក្នុងកិច្ចប្រជុំ"),
        ("my", "ယနေ့ကျွန်ုပ်တို့သည်|အစည်းအဝေးတွင်ထုတ်ကုန်အသစ်"),
        ("emoji", "👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧|👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧"),
        ("one word", "Rindfleischetikettierungsüberwa|chungsaufgabenübertragungsgesetz"),
    ],
)
def test_where_a_language_breaks(language: str, broken: str) -> None:
    """The second line begins at the mark |."""
    found = wrap(broken.replace("|", ""))
    assert found == tuple(part.strip() for part in broken.split("|"))
    assert max(map(columns, found)) <= LINE_WIDTH


@pytest.mark.parametrize("kept", ["Microsoft", "38.5", "1,234.50", "10:30", "AT&T", "e\u0301té", "カッー"])
@pytest.mark.parametrize("around", ["语", "の", "ก", "가"])
def test_words_and_numbers_stay_together_in_scripts_without_spaces(kept: str, around: str) -> None:
    for before in range(14, 21):
        text = around * before + kept + around * (38 - before if columns(around) == 1 else 32 - before)
        assert any(kept in line for line in wrap(text)), wrap(text)


@given(st.lists(st.sampled_from(SCRIPTS) | st.sampled_from("语 "), max_size=60).map("".join))
def test_texts_are_broken_into_two_lines_without_loss(text: str) -> None:
    text = " ".join(text.split())
    broken = wrap(text)
    assert len(broken) <= 2
    assert "".join(broken).replace(" ", "") == text.replace(" ", "")
    if fits(text):
        assert max(map(columns, broken)) <= LINE_WIDTH
    if len(broken) == 2:
        assert len(broken[0]) + (text[len(broken[0])] == " ") in clusters(text), "a letter was torn from its signs"


@given(st.text(st.sampled_from(SCRIPTS), max_size=80))
def test_no_line_begins_within_a_character_cluster(text: str) -> None:
    assert set(breaks(text)) <= set(clusters(text))


@given(st.lists(st.sampled_from(SCRIPTS), max_size=200).map("".join))
def test_pieces_are_the_text_and_fit_a_line(text: str) -> None:
    cut = split_to_width(text)
    assert "".join(cut) == text
    assert all(columns(piece.strip()) <= LINE_WIDTH or len(clusters(piece)) == 0 for piece in cut)
    assert not any(unicodedata.combining(piece[0]) for piece in cut[1:])


@pytest.mark.parametrize(
    "text", ["so,", "so.", "Is it?”", "是的，", "です。」", "نعم،", "है।", "ሰላም፣", "so —", "Ինչ՞", "។"]
)
def test_a_mark_ends_a_clause(text: str) -> None:
    assert ends_clause(text)


@pytest.mark.parametrize("text", ["", "so", "don't", "50 %", "是", "ジョン・", "བོད་", "(so)"])
def test_other_characters_end_no_clause(text: str) -> None:
    assert not ends_clause(text)
