"""The keyword groups of JATS and TEI -> the paper's own keywords, in its language.

KeywordGroup("en", "Keywords", "author", ["river", "oxygen"])    taken from a paper in English
KeywordGroup("", "Palabras clave", "", ["río"])                  another language, as its title says
KeywordGroup("", "", "research-organism", ["Mouse"])             not the authors'
"""

import re
from collections import Counter
from dataclasses import dataclass

_AUTHORS = ("author", "keyword", "kwd", "free", "uncontrolled")  # how the types of authors' groups begin
_OTHER_TITLES = re.compile(
    r"abbrev|research organism|subject|mesh\b|jel\b|pacs\b|msc\b|classification|disciplin|highlights", re.IGNORECASE
)
# How titles of keyword groups begin, by language.
_TITLES = {
    "en": ("keyword", "key word", "key-word", "index term"),
    "es": ("palabras clave", "palabras-clave", "descriptores"),
    "pt": ("palavras chave", "palavras-chave", "descritores", "unitermos"),
    "fr": ("mots clés", "mots-clés", "mots clefs", "mots-clefs", "mot clé", "mot-clé"),
    "de": ("schlüsselw", "schlagw", "stichw"),
    "it": ("parole chiave", "parole-chiave"),
    "nl": ("trefwoord", "sleutelwoord"),
    "pl": ("słowa kluczowe",),
    "tr": ("anahtar",),
    "ru": ("ключевые слова",),
    "uk": ("ключові слова",),
    "zh": ("关键词", "關鍵詞", "关键字"),
    "ja": ("キーワード",),
    "ko": ("주제어", "키워드"),
    "id": ("kata kunci",),
}


@dataclass
class KeywordGroup:
    language: str  # "en", or "" where the file does not say
    title: str
    kind: str  # JATS's kwd-group-type, "" where there is none
    words: list[str]


def choose_keywords(groups: list[KeywordGroup], language: str, cut: Counter[str]) -> list[str]:
    """The authors' keywords in the paper's language ("" where unknown: that of the first group), each once.

    Characters of all other groups are counted in `cut`.
    """
    authors = [group for group in groups if _is_authors(group)]
    language = language or next((_language(group) for group in authors), "")
    own = [group for group in authors if _language(group) in ("", language)]
    for group in groups:
        if not any(group is taken for taken in own):
            kind = "keywords in other languages" if _is_authors(group) else "other keywords"
            cut[kind] += sum(map(len, group.words))
    return list(dict.fromkeys(word for group in own for word in group.words if word))


def _is_authors(group: KeywordGroup) -> bool:
    kind = group.kind.lower()
    return kind.startswith(_AUTHORS) if kind else not _OTHER_TITLES.search(group.title)


def _language(group: KeywordGroup) -> str:
    title = group.title.lower()
    named = next((language for language, starts in _TITLES.items() if title.startswith(starts)), "")
    return group.language or named
