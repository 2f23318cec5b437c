"""Sentences end where the marks of their script say so, and not after abbreviations, initials and ordinal numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.text.sentences import ends_sentence, sentence_ends


def split(text: str, language: str | None = None) -> list[str]:
    ends = sentence_ends(text, language)
    return [text[start:end].strip() for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize(
    ("language", "marked"),
    [
        ("en", "So do I.| We go.| Is it?| Yes!"),
        ("en", "We asked Dr. Miller and J. R. Smith, e.g. in the U.S. army.| He lives in the U.S.| She does not."),
        ("en", "No.| I think that No. 5 is 3.5 m long.| “Yes.”| He went (all the way.)| And back."),
        ("en", 'He cried, "Go!"| They went… and went…| Then they stopped.'),
        ("en", "Write to a.b@example.com or www.example.com today.| Thanks."),
        ("de", "Das ist z.B. Die Sonne.| Am 3. Oktober kam Prof. Dr. Meier.| Nr. 5 lebt.| »Ja.«| Er ging."),
        ("de", "Es waren ca. Tausend, d.h. Viele.| Im Jahr 1990.| Danach nicht."),
        ("fr", "« Bonjour. »| M. Dupont est là.| Ça va ?| Oui !| « Non. »"),
        ("es", "¿Cómo estás?| ¡Bien!| La Sra. López vive en EE. UU. desde mayo."),
        ("pt", "Tudo bem?| O Sr. Silva saiu."),
        ("it", "Ciao!| Come va?| Bene..."),
        ("nl", "Dag.| Dhr. Jansen komt.| Ja."),
        ("sv", "Han satte sig.| Sedan gick hon.| Hej!"),
        ("pl", "Dnia 3. Maja był tu prof. Nowak.| Tak."),
        ("fi", "Moi.| 3. Luokka alkaa.| Joo."),
        ("tr", "Evet.| 3. Bölüm bitti.| Nasılsın?"),
        ("ru", "Это я.| Там жил А. С. Пушкин на ул. Ленина.| Да!"),
        ("uk", "Так.| Ні?| Добре!"),
        ("el", "Τι κάνεις;| Καλά.| Ο κ. Παπαδόπουλος ήρθε."),
        ("hy", "Ինչպես ես։| Լավ։"),
        ("ka", "გამარჯობა.| როგორ ხარ?| კარგად."),
        ("ar", "مرحبا.| كيف حالك؟| نعم!"),
        ("ur", "آپ کیسے ہیں؟| ٹھیک۔| شکریہ۔"),
        ("fa", "سلام.| خوبی؟| بله."),
        ("he", "שלום.| מה שלומך?| טוב."),
        ("hi", "मैं गया।| तुम कैसे हो॥| डॉ. शर्मा आए।"),
        ("bn", "আমি যাই।| তুমি?"),
        ("ta", "நான் வந்தேன்.| நீ?| சரி."),
        ("am", "ሰላም።| እንዴት ነህ፧| ደህና።"),
        ("mn", "ᠮᠣᠩᠭᠣᠯ᠃| ᠬᠡᠯᠡ᠃"),
        ("zh", "今天天气很好。|我们去公园玩！|大家都很高兴？|是的‼|好⁇"),
        ("zh", "他说：“好。”|我们走。|是……|好吧。|气温是38.5度。"),
        ("zh", "你好吗?|我很好!|走吧．"),
        ("ja", "彼は言った。|「はい。」|そうです！？|（ええ。）|A社です。"),
        ("ko", "네.| 그래요.| 저는 학생입니다.| 서울?"),
        ("th", "สวัสดีครับ!| ไปไหน?"),
        ("my", "ဟုတ်တယ်။| နေကောင်းလား။"),
        ("km", "បាទ។| សុខសប្បាយទេ?"),
        ("bo", "བོད་ཡིག།| བཀྲ་ཤིས།"),
    ],
)
def test_sentences_of_a_language(language: str, marked: str) -> None:
    """Each | is where a sentence ends, and nothing else is."""
    text = marked.replace("|", "")
    assert split(text, language) == [part.strip() for part in marked.split("|")]


def test_a_sentence_may_begin_small_where_that_is_allowed() -> None:
    text = "It is less spiky. and easier… so to say. In the U.S. army, etc. and by Dr. de Vries. yes."
    assert split(text) == [
        "It is less spiky. and easier… so to say.",
        "In the U.S. army, etc. and by Dr. de Vries. yes.",
    ]
    ends = sentence_ends(text, small=True)
    assert [text[start:end].strip() for start, end in zip([0, *ends], ends, strict=False)] == [
        "It is less spiky.",
        "and easier…",
        "so to say.",
        "In the U.S. army, etc. and by Dr. de Vries.",
        "yes.",
    ]


def test_ordinal_numbers_are_an_affair_of_the_language() -> None:
    assert split("I was 12. Then we moved.", "en") == ["I was 12.", "Then we moved."]
    assert split("Am 12. Mai zogen wir um.", "de") == ["Am 12. Mai zogen wir um."]


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        ("It ends.", "Then", True),
        ("We met Dr.", "Miller", False),
        ("in the U.S.", "army", False),
        ("It goes", "on", False),
        ("less spiky.", "and easier", True),
        ("很好。", "我们", True),
        ("네.", "그래요", True),
        ("“Yes.”", "He", True),
    ],
)
def test_a_sentence_may_end_between_two_pieces(before: str, after: str, ends: bool) -> None:
    assert ends_sentence(before, after) is ends


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" .?!…。「」;།»“😀é्"), max_size=60))
def test_ends_rise_to_the_end_of_any_text(text: str) -> None:
    ends = sentence_ends(text)
    assert ends == sorted(set(ends))
    assert ends[-1:] == ([len(text)] if text else [])
