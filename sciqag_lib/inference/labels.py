"""What models call a question, an answer and the keywords in the languages that papers and models are written in.

A reply follows its paper's language even where the prompt is English:

    关键词：河流；流速
    问题1：河流的流速是多少？
    答案1：流速为3.5米每秒。

A language's row is its words for question, for answer and for keywords, without regard to case. The single letters of
English (Q, A) are the readers' own affair: they need more around them to be labels.
"""

import re
import unicodedata

LABELS = {
    "en": ("Question", "Answer", "Key[ -]?words?"),
    "es": ("Pregunta", "Respuesta", "Palabras[ -]claves?"),
    "pt": ("Pergunta|Questão", "Resposta", "Palavras[ -]chaves?"),
    "fr": ("Question", "R[ée]ponse", "Mots?[ -]cl(?:é|e|ef)s?"),
    "de": ("Frage", "Antwort", "Schlüsselw[öo]rte?r?|Schlagw[öo]rte?r?|Stichw[öo]rte?r?|Schlüsselbegriffe"),
    "it": ("Domanda", "Risposta", "Parole[ -]chiave"),
    "nl": ("Vraag", "Antwoord", "Trefwoorden|Sleutelwoorden"),
    "pl": ("Pytanie", "Odpowiedź", "Słowa kluczowe"),
    "sv": ("Fråga", "Svar", "Nyckelord"),
    "tr": ("Soru", "Cevap|Yanıt", "Anahtar (?:kelimeler|sözcükler)"),
    "ru": ("Вопрос", "Ответ", "Ключевые слова"),
    "uk": ("Питання|Запитання", "Відповідь", "Ключові слова"),
    "vi": ("Câu hỏi|Hỏi", "Câu trả lời|Trả lời|Đáp án|Đáp", "Từ khóa"),
    "id": ("Pertanyaan", "Jawaban", "Kata kunci"),
    "ar": ("السؤال|سؤال", "الجواب|جواب|الإجابة|إجابة", "(?:ال)?كلمات (?:ال)?مفتاحية"),
    "fa": ("پرسش|سوال|سؤال", "پاسخ|جواب", "(?:کلمات کلیدی|واژگان کلیدی|کلیدواژه‌ها)"),
    "hi": ("प्रश्न|सवाल", "उत्तर|जवाब", "(?:मुख्य|कुंजी|कीवर्ड) ?शब्द|कीवर्ड"),
    "zh": ("问题|提问|问|問題|提問|問", "答案|回答|解答|答", "关键[词字]|關鍵[詞字]"),
    "ja": ("質問|設問|問い|問題|問", "回答|答え|解答|答", "キーワード"),
    "ko": ("질문|문제|문", "답변|대답|정답|답", "키워드|핵심어|주제어|주요어|핵심 단어"),
}


def _join_words(column: int) -> str:
    """A pattern without groups of all languages' words of a column, longer ones first."""
    words = dict.fromkeys(word for row in LABELS.values() for word in re.split(r"\|(?![^(]*\))", row[column]))
    return "(?i:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


QUESTION, ANSWER, KEYWORDS = _join_words(0), _join_words(1), _join_words(2)
NUMBER = r"(?:\d{1,3}|[一二三四五六七八九十]{1,3})"  # \d is also the full-width digits
_QUESTION = re.compile(rf"(?i:Q|Ｑ)|{QUESTION}")
_ANSWER = re.compile(rf"(?i:A|Ａ)|(?i:Ans)|{ANSWER}")

# Letters of other languages are labels where they are numbered and no Q1 and A1 are there.
_LETTERS = (("Q", "R"), ("P", "R"), ("D", "R"), ("F", "A"), ("В", "О"))
_LETTER = r"^(?P<lead>[\s>#*-]{{0,8}}){letter}(?=[ \u00a0]?{number}[ \u00a0\u202f]?[:：.)*])"


def translate_letters(text: str) -> str:
    """The text with the single letters of another language ("P1: ... R1: ...") as Q and A.

    >>> translate_letters("P1: ¿Cuántos?\\nR1: Once.")
    'Q1: ¿Cuántos?\\nA1: Once.'
    """
    for letters in (("Q", "A"), *_LETTERS):
        if all(re.search(_LETTER.format(letter=letter, number=1), text, re.MULTILINE) for letter in letters):
            for letter, new in zip(letters, "QA"):
                text = re.sub(
                    _LETTER.format(letter=letter, number=r"\d{1,3}"), rf"\g<lead>{new}", text, flags=re.MULTILINE
                )
            break
    return text


def name_label(word: str) -> str:
    """ "question", "answer" or "", by a label without its number.

    >>> name_label("问题"), name_label("Réponse"), name_label("Remark")
    ('question', 'answer', '')
    """
    return "question" if _QUESTION.fullmatch(word) else "answer" if _ANSWER.fullmatch(word) else ""


def read_number(digits: str) -> str:
    """A label's number in plain digits, "" where it has none.

    >>> read_number("１２"), read_number("二十一"), read_number("")
    ('12', '21', '')
    """
    if not digits or digits.isdecimal():
        return str(int(digits)) if digits else ""
    tens, ten, ones = digits.rpartition("十")
    value = 10 * int(unicodedata.numeric(tens[-1:] or "一")) if ten else 0
    return str(value + int(unicodedata.numeric(ones[-1:])) if ones else value)
