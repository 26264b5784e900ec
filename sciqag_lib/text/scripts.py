"""Scripts other than the Latin one: those without spaces between words, and the marks that end a sentence.

河流的流速为3.5米每秒。为什么？   Chinese: no spaces; "。" and "？" end sentences, "，" and "、" are commas
これは川である．              Japanese: the full stop may be a full-width dot, which is also the decimal point
"""

import re

# Han with its extensions and marks (々), kana, Hangul, and the half-width kana.
UNSPACED = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f"
UNSPACED += "\U00020000-\U0003ffff"
QUESTION_MARKS = "?？؟⸮\u037e፧"  # Latin, full-width, Arabic, reversed, Greek, Ethiopic
WIDE_STOPS = "。！？｡．"  # end a sentence without white space after them
OTHER_STOPS = "।॥۔؟։።။។"  # Indic, Arabic, Armenian, Ethiopic, Burmese, Khmer; sentencex knows them
WIDE_CLOSING = "」』）】》〉〕］"
CLOSING_MARKS = "\"'”’)\\]」』）】》〉〕］»›*_"  # quotation marks, brackets and emphasis, as part of a character class
_UNSPACED = re.compile(f"[{UNSPACED}]")
# Words that frame a Chinese sentence or question and are no part of longer ones often enough to cut at.
_FUNCTION_WORDS = (
    "为什么 為什麼 什么 什麼 怎么 怎麼 怎样 怎樣 如何 哪些 哪个 哪個 哪种 哪種 哪 多少 为何 為何 是否 "
    "以及 因为 因為 所以 由于 由於 "
    "的 了 是 在 和 与 與 及 或 吗 嗎 呢 把 被 将 將 为 為 也 都 就 而 着 著 这 這 那 其 对 對 从 從 由 则 則 且 但 何"
).split()
_CUTS = "|".join(_FUNCTION_WORDS)
_KANA = re.compile(r"[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
_HIRAGANA = re.compile(r"[\u3041-\u309f]+")
_PIECE = re.compile(
    rf"{_CUTS}|[\u3041-\u309f]+|[\u30a1-\u30ff\u31f0-\u31ff\uff66-\uff9f]+|[\uac00-\ud7a3]+"
    rf"|(?:(?!{_CUTS})(?!{_KANA.pattern})(?![\uac00-\ud7a3])[{UNSPACED}])+|[^{UNSPACED}]+"
)
# Particles and the endings of the commonest verbs, behind at least two syllables.
_KOREAN_END = re.compile(
    r"(?<=[\uac00-\ud7a3]{2})(?:(?:하|되|시키)(?:는가|나요|는|고|며|면|여|어|였다|었다|기|도록|지)|한다|했다|된다|됐다|됩니다|합니다"
    r"|하여|해서|이다|입니다|였다|으로|에서|에게|부터|까지|보다|처럼|만큼|은|는|이|가|을|를|의|에|로|와|과|도|만)$"
)
_QUESTION_END = re.compile(rf"[{QUESTION_MARKS}][{CLOSING_MARKS}]{{0,6}}\Z")


def is_unspaced(text: str) -> bool:
    """Whether a text holds a character of a script that writes words without spaces (Korean, which has some, too)."""
    return _UNSPACED.search(text) is not None


def ends_as_question(text: str) -> bool:
    """Whether a text ends in a question mark of any script, closing marks aside.

    >>> ends_as_question("流速是多少？」"), ends_as_question("Is it (why?)"), ends_as_question("Why? Because.")
    (True, True, False)
    """
    return _QUESTION_END.search(text.rstrip()[-8:]) is not None


def is_mostly_unspaced(text: str) -> bool:
    """Whether a text is Chinese, Japanese or Korean with, at most, names in Latin letters."""
    return len(_UNSPACED.findall(text)) > 0.3 * sum(character.isalpha() for character in text)


def cut_unspaced(word: str) -> list[str]:
    """Pairs of neighboring characters in place of words, as search engines take them in text without spaces.

    Function words of Chinese, hiragana and katakana are one word each; Latin letters and numbers stay whole. A Korean
    word is cut without its particle.

    >>> cut_unspaced("河流的流速为3.5米"), cut_unspaced("データを測定した")
    (['河流', '的', '流速', '为', '3.5', '米'], ['データ', 'を', '測定', 'した'])
    """
    words: list[str] = []
    for piece in _PIECE.findall(word):
        piece = _KOREAN_END.sub("", piece)
        if not _UNSPACED.match(piece):
            words += [piece.strip("-'’.‐‑–+")] if any(map(str.isalnum, piece)) else []
        elif len(piece) < 3 or _KANA.match(piece) or piece in _FUNCTION_WORDS:
            words.append(piece)
        else:
            words += [piece[at : at + 2] for at in range(len(piece) - 1)]
    return words


def is_function_word(word: str) -> bool:
    """Whether a word of cut_unspaced says nothing by itself: a function word, or hiragana, which is mostly endings."""
    return word in _FUNCTION_WORDS or _HIRAGANA.fullmatch(word) is not None


def count_words(text: str) -> int:
    """Words between white space; of a script without spaces two characters count as one."""
    return len(text.split()) + len(_UNSPACED.findall(text)) // 2
