"""Phrases of subtitles without speech: credits, farewells of video channels, descriptions of sounds.

Whisper was trained on subtitles of all these languages, and writes such phrases over noise, music and silence. They are
kept where they are spoken; the caller checks that.
"""

import re
import unicodedata
from difflib import SequenceMatcher
from functools import cache
from typing import Final

_NEAR: Final = 0.84  # share of letters in common: other endings, other spellings
_LONGEST_NAME: Final = 60  # characters after the opening of a credit: names, years, addresses
_FEWEST_LETTERS: Final = 4  # of a description in capitals: shorter ones are abbreviations

# Whole phrases.
_PHRASES: Final = {
    "en": (
        "you", "bye", "thank you", "thank you very much", "thank you so much", "thanks for watching",
        "please subscribe",
        "thank you for watching", "thanks for listening", "thank you for listening", "see you next time", "music",
        "see you in the next video", "i'll see you in the next video", "like and subscribe", "applause", "laughter",
        "please subscribe to my channel", "don't forget to like and subscribe", "the end", "to be continued",
        "thank you for your attention", "thanks for watching and don't forget to like and subscribe", "music playing",
    ),
    "de": (
        "vielen dank", "vielen dank fürs zuschauen", "vielen dank für ihre aufmerksamkeit", "danke fürs zuschauen",
        "bis zum nächsten mal", "vielen dank fürs zuhören", "copyright wdr", "das war's für heute", "musik",
        "applaus",
        "amara.org", "untertitelung im auftrag des zdf", "wdr mediagroup gmbh im auftrag des wdr", "tschüss",
    ),
    "fr": (
        "merci", "merci d'avoir regardé cette vidéo", "merci d'avoir regardé", "merci à tous", "à la prochaine",
        "abonnez-vous", "n'hésitez pas à vous abonner", "merci de votre attention", "musique", "applaudissements",
        "à bientôt", "abonnez-vous à la chaîne", "rires",
    ),
    "es": (
        "gracias", "gracias por ver el video", "gracias por ver", "muchas gracias", "suscríbete al canal",
        "suscríbete",
        "no olvides suscribirte", "hasta la próxima", "gracias por su atención", "música", "aplausos", "continuará",
        "dale like y suscríbete",
    ),
    "it": (
        "grazie", "grazie a tutti", "grazie per la visione", "grazie per aver guardato il video", "musica", "applausi",
        "iscrivetevi al canale", "alla prossima", "grazie per l'attenzione", "a presto", "grazie mille",
    ),
    "pt": (
        "obrigado", "obrigada", "muito obrigado", "obrigado por assistir", "inscreva-se no canal", "até a próxima",
        "até o próximo vídeo", "obrigado por assistirem", "música", "aplausos", "se inscreva no canal", "tchau",
        "deixe seu like e se inscreva no canal",
    ),
    "nl": (
        "bedankt voor het kijken", "dank u wel", "bedankt", "tot de volgende keer", "muziek", "applaus", "dankjewel",
        "abonneer je op ons kanaal", "muziekspeelt", "tv gelderland", "wat is dit",
    ),
    "sv": (
        "tack", "tack för att ni tittade", "tack för att du tittade", "tack så mycket", "musik", "applåder",
        "svensktextning.nu", "btistudios.com", "tack för idag",
    ),
    "no": ("takk for at du så på", "takk for at dere så på", "takk", "musikk", "takk for meg", "applaus"),
    "da": ("tak for at se med", "tak fordi du så med", "tak", "musik", "danske tekster", "tak for i dag", "bifald"),
    "fi": ("kiitos kun katsoit", "kiitos katsomisesta", "kiitos", "musiikkia", "kiitos kun katsoitte", "aplodeja"),
    "is": ("takk fyrir að horfa", "takk fyrir"),
    "pl": (
        "dziękuję", "dziękuję za oglądanie", "dziękuję za uwagę", "dzięki za oglądanie", "muzyka", "oklaski",
        "zapraszam do subskrypcji", "do zobaczenia", "subskrybuj kanał", "dziękuję bardzo", "koniec",
    ),
    "cs": ("děkuji", "děkuji za pozornost", "děkujeme za pozornost", "hudba", "potlesk", "děkuji za sledování",
           "www.hradeckesluzby.cz", "titulky"),
    "sk": ("ďakujem", "ďakujem za pozornosť", "ďakujem za sledovanie", "hudba"),
    "hu": ("köszönöm", "köszönöm, hogy megnézted", "köszönöm a figyelmet", "zene", "köszönjük, hogy megnézte"),
    "ro": ("vă mulțumim pentru vizionare", "mulțumesc pentru vizionare", "mulțumesc", "muzică", "să vă mulțumim",
           "nu uitați să vă abonați", "vă mulțumesc"),
    "hr": ("hvala", "hvala što pratite", "hvala na gledanju", "glazba"),
    "sr": ("хвала", "хвала што пратите", "hvala što pratite kanal", "muzika"),
    "sl": ("hvala za ogled", "hvala", "glasba"),
    "bg": ("благодаря", "благодаря за гледането", "благодаря ви",
    "музика", "абонирайте се"),
    "ru": (
        "спасибо", "спасибо за просмотр", "спасибо за внимание",
        "продолжение следует", "подписывайтесь на канал",
        "подписывайтесь на наш канал", "до новых встреч", "конец",
        "музыка", "аплодисменты", "смех", "до свидания",
        "динамичная музыка", "телефонный звонок", "звонок в дверь",
        "звонок телефона", "спокойная музыка",
        "тревожная музыка", "ставьте лайки", "всем пока",
    ),
    "uk": (
        "дякую", "дякую за перегляд", "дякую за увагу",
        "підписуйтесь на канал", "музика", "дякуємо за перегляд",
        "оплески", "далі буде", "підпишіться на наш канал",
    ),
    "be": ("дзякуй", "дзякуй за прагляд", "музыка"),
    "el": ("ευχαριστώ", "ευχαριστούμε που παρακολουθήσατε",
    "σας ευχαριστώ", "μουσική",
    "ευχαριστώ που παρακολουθήσατε"),
    "tr": (
        "teşekkürler", "teşekkür ederim", "izlediğiniz için teşekkür ederim", "izlediğiniz için teşekkürler",
        "müzik",
        "abone olmayı unutmayın", "beğenmeyi unutmayın", "kanalıma abone olmayı unutmayın", "alkış", "şarkı",
        "bu videoyu beğenmeyi unutmayın", "altyazı m.k.", "videoyu beğenmeyi ve abone olmayı unutmayın",
    ),
    "ar": (
        "شكرا", "شكرا للمشاهدة", "شكرا لكم", "شكرا على المشاهدة", "اشتركوا في القناة", "اشترك في القناة", "موسيقى",
        "لا تنسوا الاشتراك في القناة", "إلى اللقاء", "تصفيق", "شكرا لمشاهدتكم",
    ),
    "fa": ("با تشکر از تماشای شما", "ممنون که تماشا کردید", "موسیقی", "سپاس از تماشای شما"),
    "he": ("תודה", "תודה רבה", "תודה על הצפייה", "תודה שצפיתם", "מוזיקה"),
    "hi": ("धन्यवाद", "देखने के लिए धन्यवाद", "चैनल को सब्सक्राइब करें", "संगीत", "सब्सक्राइब करें"),
    "zh": (
        "谢谢", "谢谢观看", "谢谢大家", "感谢观看", "感谢收看", "請不吝點贊訂閱轉發打賞支持明鏡與點點欄目", "音乐",
        "请不吝点赞订阅转发打赏支持明镜与点点栏目", "谢谢收看", "謝謝觀看", "謝謝大家", "下次再见", "下期再见",
        "我们下期再见", "优优独播剧场yoyotelevisionseriesexclusive", "未完待续", "明镜需要您的支持欢迎订阅明镜", "掌声",
        "欢迎订阅", "請訂閱", "感謝您的觀看", "字幕",
    ),
    "yue": ("多謝", "多謝收睇", "字幕", "多謝你收睇"),
    "ja": (
        "ありがとうございました", "ご視聴ありがとうございました", "ご視聴頂きありがとうございました", "おやすみなさい",
        "ご清聴ありがとうございました", "チャンネル登録をお願いします", "チャンネル登録お願いします",
        "最後までご視聴いただきありがとうございました",
        "チャンネル登録よろしくお願いします", "また次の動画でお会いしましょう", "では、また", "音楽", "拍手", "続く",
        "次回予告",
        "見てくれてありがとう", "最後までご視聴頂き有難うございました",
    ),
    "ko": (
        "감사합니다", "시청해주셔서 감사합니다", "시청해 주셔서 감사합니다", "구독과 좋아요",
        "구독과 좋아요 부탁드립니다",
        "구독 좋아요 알림설정 부탁드립니다", "다음 영상에서 만나요", "다음 시간에 만나요", "음악", "박수",
        "영상 시청해주셔서 감사합니다",
        "한글자막 제공", "오늘도 시청해주셔서 감사합니다", "이 영상은 유료광고를 포함하고 있습니다",
    ),
    "vi": (
        "cảm ơn các bạn đã theo dõi", "hãy subscribe cho kênh", "hãy đăng ký kênh",
        "cảm ơn các bạn đã xem video",
        "âm nhạc",
        "hẹn gặp lại các bạn trong những video tiếp theo", "hãy subscribe cho kênh la la school",
        "hãy subscribe cho kênh ghiền mì gõ để không bỏ lỡ những video hấp dẫn",
    ),
    "th": ("ขอบคุณที่รับชม", "ขอบคุณครับ", "โปรดติดตามตอนต่อไป", "อย่าลืมกดติดตาม"),
    "id": ("terima kasih", "terima kasih telah menonton", "terima kasih sudah menonton", "jangan lupa subscribe",
    "musik",
           "terima kasih kerana menonton"),
    "ca": ("gràcies", "gràcies per veure el vídeo", "música", "moltes gràcies"),
    "gl": ("grazas", "grazas por ver o vídeo"),
    "et": ("aitäh vaatamast", "aitäh", "muusika"),
    "lv": ("paldies", "paldies par skatīšanos", "mūzika"),
    "lt": ("ačiū", "ačiū, kad žiūrėjote", "muzika"),
    "ms": ("terima kasih kerana menonton",),
    "sw": ("asante kwa kutazama", "asante"),
    "tl": ("salamat sa panonood", "maraming salamat"),
}  # fmt: skip

# Openings of credits; a name, a year or a channel follows.
_OPENINGS: Final = (
    # English
    "subtitles by", "subtitle by", "subs by", "subtitled by", "captions by", "captioned by", "captioning by",
    "transcription by", "transcript by", "transcribed by", "translated by", "translation by", "subtitling by",
    "subtitles created by", "closed captioning", "transcripts provided by", "amara.org", "subtitle edited by",
    "subtitles edited by", "copyright ©", "©", "www.", "http", "this video is brought to you by",
    # German
    "untertitel von", "untertitel der", "untertitel im auftrag", "untertitel des", "untertitelung",
    "untertitel:", "copyright wdr", "untertitel erstellt", "swr 20", "swr untertitel", "zdf untertitel",
    "untertitel ard", "ard text im auftrag",
    # French
    "sous-titrage", "sous-titres réalisés", "sous-titres faits", "sous-titres par", "sous-titré par",
    "sous-titres", "traduction par", "sous titre",
    # Spanish, Portuguese, Catalan, Galician, Italian, Romanian
    "subtítulos realizados", "subtítulos por", "subtítulos en español", "subtítulos creados", "subtitulado por",
    "subtítulos de", "subtítulos", "traducción por", "legendas pela", "legendas por", "legenda por", "legendas de",
    "legendas:", "tradução e legendas", "legendado por", "legenda adriana", "subtítols", "subtitols", "subtitulat",
    "lexendas", "sottotitoli", "sottotitoli creati", "sottotitoli a cura", "sottotitoli e revisione", "subtitrarea",
    "subtitrare", "subtitrări",
    # Dutch, Swedish, Norwegian, Danish, Finnish, Icelandic
    "ondertitels", "ondertiteling", "ondertiteld door", "tv gelderland", "omroep", "textning", "undertexter",
    "undertext",
    "undertextning", "översättning", "svensk text", "undertekster", "tekstet av", "tekstet", "teksting", "oversatt av",
    "teksting av", "norske tekster", "danske tekster", "undertekst", "tekster af", "oversættelse", "tekstning",
    "tekstitys", "tekstit", "suomennos", "suomentanut", "þýðandi", "íslenskur texti",
    # Polish, Czech, Slovak, Hungarian, Croatian, Serbian, Slovenian
    "napisy stworzone", "napisy", "tłumaczenie", "tłumaczył", "opracowanie napisów", "wersja polska",
    "titulky vytvořil",
    "titulky", "překlad", "titulky vytvoril", "preklad", "felirat", "feliratok", "magyar felirat", "a feliratot",
    "prevod", "prijevod", "titlovi", "titl", "titlovao", "obrada titla", "podnapisi", "podnapise", "превод",
    "титлови", "субтитри", "превод и субтитри",
    # Russian, Ukrainian, Belarusian
    "редактор субтитров", "субтитры сделал", "субтитры создавал",
    "субтитры создал", "субтитры делал",
    "субтитры подготовил", "субтитры подогнал", "субтитры",
    "субтитров", "корректор", "перевод субтитров",
    "перевод и субтитры",
    "титры", "субтитри", "редактор субтитрів", "субтитри підготував",
    "субтитри створені", "переклад", "субтытры",
    # Greek, Turkish, Arabic, Persian, Hebrew
    "υπότιτλοι", "υποτιτλισμός", "μετάφραση", "απόδοση διαλόγων", "altyazı",
    "altyazi", "çeviri", "çeviren",
    "bu dizinin betimlemesi", "bu dizinin", "sesli betimleme", "betimleme", "bu filmin betimlemesi", "ترجمة", "الترجمة",
    "ترجمه", "زیرنویس", "مترجم", "כתוביות", "תרגום", "תורגם",
    # Hindi, Bengali, Thai, Vietnamese, Indonesian
    "उपशीर्षक", "अनुवाद", "সাবটাইটেল", "คำบรรยาย", "ซับไทย", "phụ đề", "biên dịch", "phụ đề được thực hiện",
    "subtitle oleh", "terjemahan oleh", "teks oleh", "sari kata",
    # Chinese, Japanese, Korean
    "字幕由", "字幕志愿者", "字幕製作", "字幕制作", "字幕by", "字幕提供", "字幕组", "字幕組", "中文字幕", "字幕志願者",
    "字幕校对", "翻译", "校对", "請不吝點贊", "请不吝点赞", "点赞订阅", "點贊訂閱", "小编字幕由", "词曲", "作词",
    "作曲",
    "編曲", "编曲", "李宗盛", "字幕翻译", "由amara", "字幕は", "字幕作成", "翻訳", "字幕翻訳", "提供", "자막",
    "자막제공",
    "자막제작", "번역", "한글자막", "구독과좋아요", "시청해주셔서",
    # Other languages
    "subtiitrid", "tõlge", "subtitri", "tulkojums", "subtitrai", "vertimas", "azpitituluak", "isdeitlau",
)  # fmt: skip

_UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_BRACKETED: Final = re.compile(r"\s*[\[(（【*♪♫].*[\])）】*♪♫]\W*", re.DOTALL)


def begins_as_stock_phrase(text: str) -> bool:
    """Whether the text is exactly such a phrase, or begins like a credit."""
    plain = _plain(text)
    return plain in _phrases() or _opens(plain) or _describes(text)


def is_stock_phrase(text: str) -> bool:
    """Whether the text is such a phrase, or similar to one."""
    if begins_as_stock_phrase(text):
        return True
    plain = _plain(text)
    return any(
        min(len(phrase), len(plain)) > _FEWEST_LETTERS
        and abs(len(phrase) - len(plain)) <= (1 - _NEAR) * (len(phrase) + len(plain))
        and SequenceMatcher(None, plain, phrase, autojunk=False).ratio() >= _NEAR
        for phrase in _phrases()
    )


def _opens(plain: str) -> bool:
    return any(
        plain.startswith(opening) and len(plain) - len(opening) <= _LONGEST_NAME and _is_whole(plain, opening)
        for opening in _openings()
    )


def _is_whole(plain: str, opening: str) -> bool:
    """Whether the opening ends at a word boundary, in scripts that have spaces."""
    return plain[len(opening) : len(opening) + 1] in ("", " ") or bool(_UNSPACED.search(opening))


def _describes(text: str) -> bool:
    """Whether the text describes a sound, as in subtitles for the deaf: in brackets, or all in capitals."""
    letters = [letter for letter in text if letter.isalpha()]
    return bool(_BRACKETED.fullmatch(text)) or (
        len(letters) >= _FEWEST_LETTERS and all(letter.isupper() for letter in letters)
    )


@cache
def _phrases() -> frozenset[str]:
    return frozenset(_plain(phrase) for phrases in _PHRASES.values() for phrase in phrases)


@cache
def _openings() -> tuple[str, ...]:
    return tuple(sorted({plain for opening in _OPENINGS if (plain := _plain(opening))}))


def _plain(text: str) -> str:
    """Lower case, without accents and marks; without spaces too in scripts that write none between these words."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(letter if letter.isalnum() else " " for letter in apart if not unicodedata.combining(letter))
    joined = unicodedata.normalize("NFC", " ".join(kept.split()))
    return joined.replace(" ", "") if _UNSPACED.search(joined) else joined
