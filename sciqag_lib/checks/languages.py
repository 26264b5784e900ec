"""What the rules look for in questions and answers that are not in English.

The rules are English: a Chinese or Spanish question meets none of their words. For Chinese, Japanese and Korean the
same few things are looked for in their own words; for some languages of Europe only how a question begins. A row:

    "zh" | "本文研究了什么？" leans on its paper | "文中未提及。" says nothing | "含有镉吗？" is a yes-or-no question
"""

import re

from sciqag_lib.text.scripts import is_mostly_unspaced

# How a question begins in Spanish, Portuguese, French, German, Italian, Dutch and Russian, after at most two words
# ("En qué", "In welchem", "A che"). English words are left out: "was", "die", "come".
_OPENING = re.compile(
    r"^(?:¿|(?:[^\W\d_]{1,7}\s){0,2}?(?:"
    r"qué|cuál(?:es)?|cómo|cuándo|dónde|por\squé|quién(?:es)?|cuánt[oa]s?"
    r"|o\sque|que|qual|quais|como|quando|onde|por\sque|quem|quant[oa]s?"
    r"|quel(?:le)?s?|comment(?!\son\b)|pourquoi|combien|où|quand|qui|est-ce|qu['’]est-ce"
    r"|welche[rsnm]?|wie|warum|wieso|weshalb|wann|wo|wer|wem|wen|wessen|wodurch|womit|wozu|wie\sviele?"
    r"|quali|che\scosa|cosa|perché|dove\s(?:è|si|sono)|waarom|welke?|wanneer|waar|hoeveel|wat"
    r"|как(?:ой|ая|ое|ие|ого|им|ими|ов|ова|ово|овы)?|что|почему|зачем|сколько|где|когда|кто|чем|чему|от\sчего"
    r")\b)",
    re.I,
)
# Not the "本文" of 日本文化, the "文中" of 英文中, the "表三" of 代表三种 nor the "표 1" of 목표 1.
_THIS_PAPER = re.compile(
    r"(?<![日基样樣标標根成版])本(?:文|研究|论文|論文|实验|實驗|実験|报告|報告|稿|章)|(?<![中英日语語])文中"
    r"|(?:该|該|此|这项|這項|这篇|這篇|当該)(?:研究|论文|論文|文章|实验|實驗|作者)|作者|笔者|筆者|著者|我们|我們|我々"
    r"|(?:上述|前述)的?(?:研究|方法|结果|結果)|根据(?:上文|文章|论文)"
    r"|(?:[图圖図]|(?<![代发發])表)\s?[0-9０-９一二三四五六七八九十]"
    r"|この(?:論文|研究|報告|実験|文章)|(?:본|이) ?(?:연구|논문|실험|보고서)|저자|(?:그림|(?<!목)표) ?\d"
)
_EMPTY = re.compile(
    r"(?:未|没有|沒有|并未|並未)(?:明确|具体)?(?:提及|提到|说明|說明|给出|給出|提供|报告|描述)|(?:无法|無法)(?:回答|确定|得知)"
    r"|(?:記載|言及|説明)(?:されて|が)?(?:い)?(?:ない|ません)|不明です|わかりません"
    r"|(?:언급|명시|설명)되(?:지|어 있지) 않|알 수 없"
)
_CHOICE = re.compile(
    r"[吗嗎]|是否|还是|還是|是不是|有没有|能否"
    r"|^(?!.*(?:何|どの|どんな|どう|なぜ|いつ|どこ|誰|いくつ|どれ)).*(?:ます|です|ました|でした|ません)か"
    r"|^(?!.*(?:무엇|무슨|왜|어떻|어떤|얼마|몇|어디|언제|누)).*(?:니까|나요|는가)"
)
YES_OR_NO = re.compile(r"(?:是|否|不|没|沒|有|会|能|可以|对|はい|いいえ|네|예|아니)")


def opens_as_question(text: str) -> bool:
    """Whether a text begins as questions do in a language other than English; in Chinese, Japanese and Korean the
    question word may be anywhere, and only the mark tells."""
    return is_mostly_unspaced(text) or _OPENING.match(text) is not None


def names_its_paper(text: str) -> bool:
    """Whether a Chinese, Japanese or Korean text speaks of the paper it is from, or of a figure or table."""
    return _THIS_PAPER.search(text) is not None


def says_nothing(answer: str) -> bool:
    """Whether a Chinese, Japanese or Korean answer is a refusal."""
    return _EMPTY.search(answer) is not None


def offers_choice(question: str) -> bool:
    """Whether a Chinese, Japanese or Korean question can be answered by yes, no or one of what it names."""
    return _CHOICE.search(question) is not None
