"""Words without speech are dropped: phrases of subtitles, and other text where there is no speech."""

import numpy as np
import pytest

from transcriber.decoding.word_filter import Probabilities, keep_spoken_words, needs_no_check, speech_near
from transcriber.engines.base import WindowResult, Word
from transcriber.text import stock_phrases

FRAMES_PER_SECOND = 31.25

CREDITS = {
    "en": ["Thank you.", "Thanks for watching!", "Subtitles by the Amara.org community", "Translated by Jane Doe",
           "Transcription by CastingWords", "Please subscribe to my channel.", "[Music]", "MUSIC PLAYING"],
    "de": ["Untertitel im Auftrag des ZDF, 2021", "Untertitelung des ZDF, 2020", "Untertitel von Stephanie Geiges",
           "Vielen Dank fürs Zuschauen!", "Untertitel der Amara.org-Community", "Copyright WDR 2021"],
    "fr": ["Sous-titrage Société Radio-Canada", "Sous-titres réalisés para la communauté d'Amara.org",
           "Sous-titrage ST' 501", "Merci d'avoir regardé cette vidéo !"],
    "es": ["Subtítulos realizados por la comunidad de Amara.org", "¡Gracias por ver el vídeo!", "Subtítulos por Ana"],
    "it": ["Sottotitoli creati dalla comunità Amara.org", "Sottotitoli e revisione a cura di QTSS",
           "Grazie per la visione!"],
    "pt": ["Legendas pela comunidade Amara.org", "Legenda Adriana Zanotto", "Obrigado por assistir!"],
    "nl": ["Ondertitels ingediend door de Amara.org gemeenschap", "TV GELDERLAND 2020", "TV GELDERLAND 2023", "MUZIEK.",
           "Bedankt voor het kijken."],
    "sv": ["Textning Stina Hedin www.btistudios.com", "Undertexter från Amara.org-gemenskapen",
           "Tack för att ni tittade!"],
    "no": ["Tekstet av Nicolai Winther", "Undertekster av Ai-Media", "Teksting av Nicolai Winther"],
    "da": ["Danske tekster af Jesper Buhl Scandinavian Text Service 2018", "Undertekster af Amara.org"],
    "fi": ["Kiitos kun katsoit!", "Tekstitys: Anna Virtanen"],
    "pl": ["Napisy stworzone przez społeczność Amara.org", "Dziękuję za oglądanie.", "Dziękuje za oglądanie"],
    "cs": ["Titulky vytvořil JohnyX", "Titulky vytvořil JohnyX."],
    "hu": ["Magyar felirat: Kovács", "Köszönöm a figyelmet!"],
    "ro": ["Vă mulțumim pentru vizionare!", "Subtitrarea: Ion Popescu"],
    "ru": ["Редактор субтитров А.Синецкая Корректор А.Егорова", "Редактор субтитров А.Семкин Корректор А.Егорова",
           "Субтитры сделал DimaTorzok", "Субтитры создавал DimaTorzok", "Продолжение следует...", "ТЕЛЕФОННЫЙ ЗВОНОК",
           "Спасибо за просмотр!", "ДИНАМИЧНАЯ МУЗЫКА", "ЗВОНОК В ДВЕРЬ"],
    "uk": ["Дякую за перегляд!", "Субтитри створені спільнотою Amara.org"],
    "el": ["Υπότιτλοι AUTHORWAVE", "Ευχαριστώ που παρακολουθήσατε!"],
    "tr": ["Bu dizinin betimlemesi TRT tarafından Sesli Betimleme Derneğine yaptırılmıştır.", "Altyazı M.K.",
           "İzlediğiniz için teşekkür ederim.", "Abone olmayı unutmayın."],
    "ar": ["ترجمة نانسي قنقر", "اشتركوا في القناة", "شكرا للمشاهدة"],
    "he": ["תודה על הצפייה", "כתוביות: משה"],
    "hi": ["देखने के लिए धन्यवाद"],
    "zh": ["字幕志愿者 杨茜茜", "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目", "謝謝觀看", "字幕由Amara.org社区提供",
           "字幕by索兰娅", "中文字幕志愿者 李宗盛"],
    "ja": ["ご視聴ありがとうございました", "ご視聴ありがとうございました。", "字幕作成者 山田"],
    "ko": ["구독과 좋아요 부탁드립니다", "시청해주셔서 감사합니다.", "한글자막 by 한효정"],
    "vi": ["Hãy subscribe cho kênh Ghiền Mì Gõ Để không bỏ lỡ những video hấp dẫn"],
    "id": ["Terima kasih telah menonton!"],
    "ca": ["Subtítols creats per la comunitat d'Amara.org"],
}  # fmt: skip

SENTENCES = [
    "He thanked everybody for watching the children.",
    "The subtitles by which we followed the film were too small.",
    "Ich habe den Film mit Untertiteln gesehen.",
    "Les sous-titres ne correspondent pas aux paroles du film que nous avons regardé hier soir au cinéma, je crois.",
    "Ella lee los subtítulos en voz alta.",
    "Редактор газеты позвонил вчера вечером.",
    "Продолжение этой истории вы узнаете завтра.",
    "De omroep was gisteren te laat.",
    "Müzik dinlemeyi çok seviyorum.",
    "音楽を聞くのが好きです。",
    "我们昨天看了一部有字幕的电影。",
    "한국 영화를 자막 없이 볼 수 있어요.",
    "Muzyka, której słucham, jest głośna.",
    "La musica che ascolto è molto forte.",
    "NATO met in Paris.",
]


def spoken(text: str, *, start: float = 0.0, seconds: float = 3.0, sure: float = 0.8) -> list[Word]:
    words = text.split(" ")
    each = seconds / len(words)
    return [
        Word(start + index * each, start + (index + 1) * each, f" {word}", sure) for index, word in enumerate(words)
    ]


def said(*words: Word, logprob: float = -0.4) -> WindowResult:
    return WindowResult("".join(word.word for word in words).strip(), logprob, 0.1, words, "xx")


def heard(*stretches: tuple[float, float], seconds: float = 10.0, probability: float = 0.95) -> Probabilities:
    """The detector's probabilities for a window with speech in these stretches."""
    found = np.full(round(seconds * FRAMES_PER_SECOND), 0.02, np.float32)
    for start, end in stretches:
        found[round(start * FRAMES_PER_SECOND) : round(end * FRAMES_PER_SECOND)] = probability
    return found


ALL_CREDITS = [(language, text) for language, texts in CREDITS.items() for text in texts]


def test_the_list_of_phrases_is_long_enough() -> None:
    assert len(ALL_CREDITS) >= 60
    assert len(CREDITS) >= 20


@pytest.mark.parametrize(("language", "text"), ALL_CREDITS)
def test_a_credit_without_speech_is_dropped_at_any_probability(language: str, text: str) -> None:
    assert stock_phrases.is_stock_phrase(text), language
    assert keep_spoken_words(said(*spoken(text, sure=0.97), logprob=-0.05), heard()).text == ""
    assert keep_spoken_words(said(*spoken(text, sure=0.97), logprob=-0.05), heard((0, 3), probability=0.4)).text == ""


@pytest.mark.parametrize(("language", "text"), ALL_CREDITS)
def test_a_spoken_credit_is_kept(language: str, text: str) -> None:
    assert keep_spoken_words(said(*spoken(text)), heard((0, 3))).text == text, language


@pytest.mark.parametrize(("language", "text"), ALL_CREDITS)
def test_a_credit_after_speech_is_dropped_and_the_speech_is_kept(language: str, text: str) -> None:
    before = spoken("We met on the tenth of May.", seconds=2.5)
    assert keep_spoken_words(said(*before, *spoken(text, start=5.0)), heard((0, 2.5))).words == tuple(before), language


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences_with_the_same_words_are_no_credits(text: str) -> None:
    assert not stock_phrases.is_stock_phrase(text)
    assert keep_spoken_words(said(*spoken(text, sure=0.5)), heard((0, 3), probability=0.4)).text == text


def test_a_credit_without_a_pause_or_a_mark_before_it_is_cut_off() -> None:
    # As the base model wrote it for a call on hold; the words of the credit are aligned with no time at all.
    speech = spoken("Ребят, на его месте должно быть я", seconds=3.0)
    credit = [
        Word(3.04, 14.2, " Редактор", 0.55),
        *(Word(14.2, 14.2, f" {word}", 0.9) for word in ("субтитров", "А.Синецкая", "Корректор", "А.Егорова")),
    ]
    assert keep_spoken_words(said(*speech, *credit), heard((0, 3.1), seconds=20)).words == tuple(speech)


@pytest.mark.parametrize(("sure", "logprob", "kept"), [(0.95, -0.1, True), (0.8, -0.1, False), (0.95, -0.4, False)])
def test_without_speech_a_high_probability_is_required(sure: float, logprob: float, kept: bool) -> None:
    words = spoken("Somebody whispers here.", sure=sure)
    assert bool(keep_spoken_words(said(*words, logprob=logprob), heard()).text) is kept


@pytest.mark.parametrize(("sure", "logprob", "kept"), [(0.5, -0.3, True), (0.2, -0.3, False), (0.5, -0.95, False)])
def test_with_faint_speech_a_low_probability_is_enough(sure: float, logprob: float, kept: bool) -> None:
    words = spoken("By telephone it sounds like this.", sure=sure)
    assert bool(keep_spoken_words(said(*words, logprob=logprob), heard((0, 3), probability=0.35)).text) is kept


def test_words_after_the_end_of_speech_are_dropped() -> None:
    speech, more = spoken("It ends here", seconds=1.5), spoken("and then it goes on", start=4.0, sure=0.6)
    assert keep_spoken_words(said(*speech, *more), heard((0, 1.5))).words == tuple(speech)


def test_a_text_without_word_times_is_checked_as_a_whole() -> None:
    text = WindowResult("Duidelijk gesproken", -0.4, 0.1, (), "nl")
    assert keep_spoken_words(text, heard()).text == ""
    assert keep_spoken_words(text, heard((0, 3))).text == text.text


def test_a_click_is_not_speech() -> None:
    assert speech_near(heard((1.0, 1.07)), 0.0, 2.0) < 0.1
    assert speech_near(heard((1.0, 1.2)), 0.0, 2.0) > 0.9


def test_a_clear_text_needs_no_check() -> None:
    clear = said(*spoken("The committee met on Tuesday and agreed to wait.", sure=0.9), logprob=-0.15)
    assert needs_no_check(clear, 3.0)
    assert needs_no_check(WindowResult("", -0.9, 0.8, (), "en"), 30.0)
    assert not needs_no_check(clear, 20.0)
    assert not needs_no_check(said(*spoken("Thank you.", sure=0.99), logprob=-0.05), 1.0)
    assert not needs_no_check(said(*spoken("The committee met on Tuesday", sure=0.6), logprob=-0.15), 3.0)
    assert not needs_no_check(said(*spoken("The committee met on Tuesday", seconds=0.0), logprob=-0.15), 3.0)
