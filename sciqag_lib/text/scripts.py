"""Scripts other than the Latin one: those without spaces between words, and the marks that end a sentence.

河流的流速为3.5米每秒。为什么？   Chinese: no spaces; "。" and "？" end sentences, "，" and "、" are commas
これは川である．              Japanese: the full stop may be a full-width dot, which is also the decimal point
"""

import re

# Han with its extensions and marks (々), kana, Hangul, and the half-width kana.
UNSPACED = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f"
UNSPACED += "\U00020000-\U0003ffff"
QUESTION_MARKS = "?？؟⸮\u037e፧"  # Latin, full-width, Arabic, reversed, Greek, Ethiopic
CLOSING_MARKS = "\"'”’)\\]」』）】》〉〕］»›*_"  # quotation marks, brackets and emphasis, as part of a character class
_UNSPACED = re.compile(f"[{UNSPACED}]")
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
