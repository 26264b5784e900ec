"""The setting of a paper's findings - an organism, a population, a material, a place - in the paper's own words.

title    "Wood Density in Classical Violins: A Survey"   -> "in classical violins"
heading  "Growth in Mutants"                              -> "in mutants"
"""

import re
from collections import Counter
from collections.abc import Iterable

from sciqag_lib.records.papers import Paper
from sciqag_lib.text.sentences import list_content_words

_SEGMENT = re.compile(r"\s?[:;?!]\s|\s[–—-]\s|\.\s(?=[A-Z][a-z]{3})|,\s")
_PHRASE = re.compile(r"\b([Ii]n|[Aa]mong|[Dd]uring|[Tt]hroughout|[Ww]ithin)\s(?!vitro|vivo|silico|situ)(.{3,80})$")
# "Belief in God", "Advances in Genetics": what follows is no setting.
_BOUND = re.compile(
    r"\b(?:belief|advances?|roles?|interest|progress|trends?|changes?|differences?|variations?|variability|(?:in|de)creases?|declines?|shifts?|improvements?|involved|used|confidence|insights?)$",
    re.I,
)
_NO_SETTING = re.compile(
    r"(?:\w+ing\b|\d|an?\b|this|these|our|its|their|general|response)"
    r"|.*\b(?:is|are|was|were|reveals?|shows?|suggests?|enhanced|and)\b",
    re.I,
)
_PEOPLE = re.compile(
    r"\b((?:patients|children|women|men|adults|individuals|people|infants|recipients|carriers) with "
    r"[a-zA-Z-]+(?: [a-z-]+){0,2}?)"
    r"(?=[.,;)]|\s(?:and|or|who|was|were|had|have|in|at|is|are|by|to|for|from|than|using)\b)"
)
_SPECIES = re.compile(r"\b([A-Z])([a-z]{3,}) ([a-z]{4,})\b")
ORGANISMS = frozenset(
    "mice mouse rats rat humans zebrafish drosophila elegans yeast arabidopsis xenopus chickens chick pigs sheep "
    "goats cattle dogs cats monkeys macaques rabbits tobacco maize rice wheat tomato coli patients children women men "
    "infants adults bacteria archaea fungi plants insects birds fish mammals cerevisiae melanogaster vertebrates "
    "primates".split()
)


class Spelling:
    """How a paper writes its words within sentences: "Cancer" in a title is "cancer"."""

    def __init__(self, text: str) -> None:
        self._counts = Counter(re.findall(r"(?<=[a-z,;] )[A-Za-z][\w'-]*", text))

    def opens_with_name(self, word: str) -> bool | None:
        """Whether a word at a sentence's start keeps its capital; None where the paper has it nowhere else."""
        lower, upper = self._counts[word.lower()], self._counts[word]
        return None if lower == upper == 0 else upper > lower

    def lower(self, text: str) -> str:
        """A title's words as they are spelled in sentences."""
        return " ".join(self._lower_word(word) for word in text.split())

    def _lower_word(self, word: str) -> str:
        if len(word) == 1 or re.search(r"\w\.\w|\d", word):
            return word  # "Cluster A", "Pn.p"
        parts = word.split("-")
        if any(part[1:] != part[1:].lower() for part in parts):
            return word
        bare = re.sub(r"^\W+|\W+$", "", word)
        return word if self._counts[bare] > self._counts[bare.lower()] else word.lower()


def find_settings(paper: Paper, spelling: Spelling) -> list[str]:
    """Phrases that open a question, the surest first: of the title, then whom or what the abstract names most."""
    found = find_phrases(paper.title, spelling)
    text = f"{paper.title}. {paper.abstract}"
    people = Counter({name.lower(): text.count(name) for name in _PEOPLE.findall(text)})
    found += [f"in {name}" for name, number in people.most_common(1) if number > 1]
    species = [match for match in _SPECIES.finditer(paper.title) if f"{match[1]}. {match[3]}" in paper.txt]
    return list(dict.fromkeys(found + [f"in {match[0]}" for match in species[:1]]))


def find_phrases(title: str, spelling: Spelling) -> list[str]:
    """The phrases of place that end a title or heading, or a part of it before a colon."""
    found = []
    for segment in _SEGMENT.split(title):
        match = _PHRASE.search(segment)
        while match and (later := _PHRASE.search(match[2])):
            match = later
        if match is None or _BOUND.search(segment[: segment.rfind(match[0])].strip()) or _NO_SETTING.match(match[2]):
            continue
        words = match[2].split()
        if 1 < len(words) <= 8 or words[0].lower() in ORGANISMS:
            found.append(f"{match[1].lower()} {spelling.lower(match[2].rstrip('.'))}")
    return found


def choose_setting(question: str, sentence: str, settings: Iterable[str]) -> str:
    """The first setting of which neither question nor sentence names a word; "" where it names one, or another
    organism or group of people than the paper's."""
    words = set(list_content_words(f"{question} {sentence}"))
    if re.search(r"\b[A-Z]\. [a-z]{4,}", sentence):
        return ""
    if words & {stem for name in ORGANISMS for stem in list_content_words(name)}:
        return ""
    for setting in settings:
        return "" if words & set(list_content_words(setting)) else setting
    return ""
