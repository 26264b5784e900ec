"""Evidence first: choose informative sentences of a paper, and have a model write only the question to each.

The answer is then the paper's own sentence, so its evidence is there by construction and a small model cannot
make it false. A kind of sentence ("cause", "comparison", ...), from prompts/evidence_first.yaml:

    - name: cause
      pattern: '\\b(because|due to)\\b'
      start: Why
      examples: [{fact: ..., question: ...}]
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Protocol

from sciqag_lib.checks.rules import score_question
from sciqag_lib.engines import Prompt
from sciqag_lib.errors import InputError
from sciqag_lib.inference.prompts import PromptFile, plain_text
from sciqag_lib.records.papers import Paper, QAPair
from sciqag_lib.text.captions import find_captions
from sciqag_lib.text.scripts import QUESTION_MARKS
from sciqag_lib.text.sentences import list_content_words, split_sentences

CANDIDATES_PER_PAIR = 3  # more are made than needed, and the best are kept
QUESTION_TOKENS = 48
MIN_QUESTION_SCORE = 1.2  # of checks.score_question; read by eye on 60 candidates, most below were poor
MIN_WORDS, MAX_WORDS = 8, 45
MIN_SHOWN_WORDS = 5
# "The low yield was most likely": what is left before "due to" is no statement.
DANGLING = re.compile(
    r"\b(is|are|was|were|be|been|not|also|only|likely|probably|which|that|and|or|\w+ly)$", re.IGNORECASE
)

# A sentence with one of these cannot be understood, or should not be, without the rest of the paper.
DEPENDENT = re.compile(
    r"^(it|they|this|these|those|he|she|such|both|each|other|another|similar|here|there|as|and|but|or|so|if|also)\b"
    r"|\b(figs?|figures?|tables?|eqs?|equations?|sections?|appendix|supplementary|supporting information)\b"
    r"|\b(this|the present|our|the current) (study|work|paper|article|report|review|manuscript)\b"
    r"|\b(see|described|mentioned|shown|discussed|defined|listed) (above|below|in|elsewhere|previously|earlier)\b"
    r"|\bdata not shown\b|\bin (this|that) case\b|\bas an example\b|\bone (\w+ )?(example|explanation|reason)\b"
    r"|\bet al\b|\bas follows\b|\brespectively\b.*\brespectively\b|\?|\s\|\s|:$",
    re.IGNORECASE,
)
# What is said of a picture or beneath a table, where its label is missing: a panel ("(A) ...", "Left: ..."), what a
# mark or bar means, or the key of abbreviations ("LB, lysogeny broth; WT, ...").
NOTE = re.compile(
    r"^(?:\(?[A-Za-z](?:\s?[-–,&]\s?[A-Za-z]){0,6}\)|[*†‡§¶#]"
    r"|\(?(?i:(?:(?:top|bottom|upper|lower|left|right|middle|inset)\s?){1,2}(?:panels?|rows?|columns?)?)\)?\s?[:,]"
    r"|(?i:(?:scale |error |white |black )?bars?|asterisks?|arrow(?:head)?s?|(?:dashed|dotted|solid) lines?"
    r"|(?:data|values) (?:are|represent|shown?)\b[^.]{0,40}\b(?:means?|averages?|medians?)|abbreviations)\b"
    r"|(?=\w*[A-Z]\w*[A-Z])[\w/-]{2,10}(?:,|:|\s?=)\s[^;.,]{2,60}(?:;|\.$|,\s[A-Z]{2}))"
)
# Words that point back; a sentence without any is better.
POINTING = re.compile(r"\b(this|these|those|its|their|they|it|former|latter|we|our|us)\b", re.IGNORECASE)
# Openings that add nothing to the fact; the evidence starts after them. "Suggest" and "indicate" are hedges: they stay.
OPENING = re.compile(
    r"^(?:(?:however|moreover|furthermore|in addition|additionally|interestingly|notably|importantly|therefore|thus|"
    r"hence|consequently|accordingly|finally|indeed|overall|in contrast|by contrast|in conclusion|in summary|"
    r"taken together|in principle|in general|correspondingly|as expected|of note|nevertheless|nonetheless|similarly|"
    r"likewise|specifically|in particular|for example|for instance|surprisingly|remarkably|clearly|first|"
    r"second|third|meanwhile|conversely|again),\s+)?"
    r"(?:(?:we|our (?:results|data|findings|analys[ie]s|experiments|observations)|(?:the|these) (?:results|data|"
    r"findings|observations))\s+(?:also |clearly |further |have |thus |therefore )*(?:found|find|show|showed|shown|"
    r"observed|"
    r"demonstrate|demonstrated|report|reported|reveal|revealed|confirm|confirmed|noted|note)\s+(?:here )?that\s+)?",
    re.IGNORECASE,
)
TABLE_ROW = re.compile(r"^(?:[ \t]*\||(?=[^\n]* \| ))[^\n]+", re.MULTILINE)
CITATION = re.compile(r"\s*\[\s*\d{1,4}(?:\s*[,;–-]\s*\d{1,4})*\s*\]")
SKIPPED_SECTIONS = re.compile(
    r"ethic|consent|abbreviation|availab|conflict|competing|funding|acknowledg|supplement|supporting|reference|"
    r"author contribution|data (deposition|access)",
    re.IGNORECASE,
)
# How good the questions of a kind turn out with the packaged model, judged by eye; others weigh 1.
KIND_WEIGHT = {
    "cause": 3.0,
    "agent": 3.0,
    "purpose": 2.5,
    "change": 2.5,
    "comparison": 2.0,
    "effect": 2.0,
    "method": 2.0,
}
QUESTION = re.compile(rf"[^{QUESTION_MARKS}]*[{QUESTION_MARKS}]")
# "How did inputs have been presented?": what a small model makes of a sentence that it cannot turn round.
GARBLED = re.compile(r"^(?:why|how|what) (?:did|does|do)\b.*\b(?:ha(?:ve|s|d) been|be \w+ed)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    name: str
    pattern: re.Pattern
    start: str  # the word the question starts with, "" for any
    before: bool  # show the model only what stands before the pattern
    examples: tuple[tuple[str, str], ...]  # fact, question


@dataclass(frozen=True)
class Sentence:
    start: int  # span in Paper.txt
    end: int
    answer: str  # the span's text without citation marks, as a sentence of its own
    shown: str  # what the model sees of it
    kind: Kind
    score: float  # how informative; higher is better


@dataclass
class Candidate:
    sentence: Sentence
    question: str


class TakesPairs(Protocol):
    """What choose_best needs of strategies.Collector."""

    missing: int

    def take(self, pair: QAPair) -> bool: ...
    def reject(self, reason: str) -> None: ...


def load_kinds(prompt: PromptFile) -> list[Kind]:
    """The kinds of an evidence_first prompt file. Raises InputError naming the kind and key at fault."""
    kinds = []
    for number, entry in enumerate(prompt.texts.get("kinds") or [], start=1):
        where = f"prompt {prompt.name}, kind {number}"
        try:
            examples = tuple((example["fact"], example["question"]) for example in entry["examples"])
            texts = [
                entry["name"],
                entry["pattern"],
                entry["start"],
                *(text for example in examples for text in example),
            ]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError(f"a text among {texts!r:.80}")
            kinds.append(
                Kind(entry["name"], re.compile(entry["pattern"]), entry["start"], bool(entry.get("before")), examples)
            )
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{where}: expected name, pattern, start and examples of fact and question: "
                f"{error} is missing or mistyped"
            ) from error
        except re.error as error:
            raise InputError(f"{where}: pattern is no regular expression: {error}") from error
    if not kinds:
        raise InputError(f"prompt {prompt.name}: expected a list `kinds`, as in prompts/evidence_first.yaml")
    return kinds


def find_sentences(paper: Paper, kinds: list[Kind]) -> list[Sentence]:
    """All sentences that could be an answer, in the paper's order; captions and rows of tables are left out."""
    skipped = [(part.start, part.end) for part in paper.sections if SKIPPED_SECTIONS.search(part.title)]
    keywords = paper.keywords if isinstance(paper.keywords, list) else re.split(r"[,;，；、]", paper.keywords)
    topic = set(list_content_words(" ".join([paper.title, *keywords])))
    apart = sorted([*find_captions(paper.txt), *(row.span() for row in TABLE_ROW.finditer(paper.txt))])
    found = []
    for start, end in split_sentences(paper.txt):
        place = bisect_right(apart, (start, len(paper.txt))) - 1
        is_apart = place >= 0 and start < apart[place][1]
        if is_apart or any(first <= start < last for first, last in skipped):
            continue
        sentence = _read_sentence(paper.txt, start, end, kinds, topic)
        if sentence:
            found.append(sentence)
    return found


def _read_sentence(txt: str, start: int, end: int, kinds: list[Kind], topic: set[str]) -> "Sentence | None":
    start += OPENING.match(txt[start:end]).end()
    raw = txt[start:end]
    answer = " ".join(CITATION.sub("", raw).split())
    num_words = len(answer.split())
    if not MIN_WORDS <= num_words <= MAX_WORDS or not answer.endswith("."):
        return None
    if DEPENDENT.search(answer) or NOTE.match(answer):
        return None
    if not (answer[0].isupper() or answer[0].isdigit() or start > 1 and txt[start - 1] == " "):
        return None
    letters = sum(character.isalpha() or character == " " for character in answer)
    kind = next((kind for kind in kinds if kind.pattern.search(answer) and _show(answer, kind)), None)
    if kind is None or letters < 0.75 * len(answer):  # mostly symbols: an equation, a table row, a list of values
        return None
    answer = answer[0].upper() + answer[1:] if answer.split()[0].islower() and answer[1:2].islower() else answer
    return Sentence(start, end, answer, _show(answer, kind), kind, _score_sentence(answer, kind, num_words, topic))


def _show(answer: str, kind: Kind) -> str:
    """The part of the answer that the model sees; "" where too little stands before the pattern to ask about."""
    if not kind.before:
        return answer
    part = answer[: kind.pattern.search(answer).start()].rstrip(" ,;(")
    return "" if len(part.split()) < MIN_SHOWN_WORDS or DANGLING.search(part) else f"{part}."


def _score_sentence(answer: str, kind: Kind, num_words: int, topic: set[str]) -> float:
    words = set(list_content_words(answer))
    score = KIND_WEIGHT.get(kind.name, 1.0)
    score += min(1.5, 0.4 * len(words & topic))
    score += 0.5 if re.search(r"\d", answer) else 0.0
    score -= 1.5 * min(2, len(POINTING.findall(answer)))
    score -= 0.5 * max(0, answer.count("(") + answer.count(";") - 1)
    return score - (0.05 * max(0, num_words - 30))


def choose_sentences(paper: Paper, kinds: list[Kind], num_pairs: int, exclude: set[int]) -> list[Sentence]:
    """CANDIDATES_PER_PAIR sentences for each pair, the best of each stretch of the paper.

    `exclude` holds the starts of sentences already used. Sentences of one kind come one after the other: their
    prompts begin alike, which an engine with a prefix cache pays once.
    """
    eligible = [sentence for sentence in find_sentences(paper, kinds) if sentence.start not in exclude]
    chosen: list[Sentence] = []
    for number in range(num_pairs):
        stretch = eligible[number * len(eligible) // num_pairs : (number + 1) * len(eligible) // num_pairs]
        chosen += sorted(stretch, key=lambda sentence: (-sentence.score, sentence.start))[:CANDIDATES_PER_PAIR]
    order = {kind.name: number for number, kind in enumerate(kinds)}
    return sorted(chosen, key=lambda sentence: (order[sentence.kind.name], sentence.start))


def question_prompt(prompt: PromptFile, sentence: Sentence) -> Prompt:
    """Examples of the sentence's kind, then the sentence; the model goes on after the question's first word."""
    blocks = [prompt.texts["instruction"].strip()]
    blocks += [f"Fact: {fact}\nQuestion: {question}" for fact, question in sentence.kind.examples]
    blocks.append(f"Fact: {plain_text(sentence.shown)}\nQuestion:{_with_space(sentence.kind.start)}")
    return Prompt(text="\n\n".join(blocks))


def read_question(sentence: Sentence, text: str) -> str:
    """The question in a completion: the forced first word and the text up to the first question mark."""
    start = sentence.kind.start
    text = re.sub(rf"^{start}\b\s*", "", text.strip(), flags=re.IGNORECASE) if start else text.strip()
    line = f"{start} {text}".strip().split("\n")[0]
    question = " ".join((match[0] if (match := QUESTION.match(line)) else line).split())
    return _agree(question, sentence.answer)


def _agree(question: str, answer: str) -> str:
    """The question with the answer's own "was" or "were", "is" or "are", which a small model mixes up."""
    match = re.match(r"((?:how|why) )(was|were|is|are)\b", question, re.IGNORECASE)
    if not match:
        return question
    found = set(re.findall(r"\b(was|were|is|are)\b", answer))
    other = {"was": "were", "were": "was", "is": "are", "are": "is"}[match[2]]
    return f"{match[1]}{other}{question[match.end() :]}" if other in found and match[2] not in found else question


def _with_space(word: str) -> str:
    return f" {word}" if word else ""


def choose_best(candidates: list[Candidate], collector: TakesPairs, txt: str) -> None:
    """Give the collector the best candidates: first the best of each stretch of the paper, then the best left.

    A candidate whose question scores under MIN_QUESTION_SCORE, or is garbled, is rejected as "weak_question".
    """
    scored = []
    for candidate in candidates:
        sentence = candidate.sentence
        context = txt[max(0, sentence.start - 400) : sentence.end + 200]
        score = score_question(candidate.question, sentence.answer, context)
        if score < MIN_QUESTION_SCORE or is_garbled(candidate.question, sentence.answer):
            collector.reject("weak_question")
        else:
            scored.append((score, candidate))
    scored.sort(key=lambda entry: (-entry[0], entry[1].sentence.start))
    num_stretches, stretches, rest = max(1, collector.missing), set(), []
    for _, candidate in scored:
        stretch = candidate.sentence.start * num_stretches // max(1, len(txt))
        if stretch in stretches or not collector.take(_pair(candidate)):
            rest.append(candidate) if stretch in stretches else None
        else:
            stretches.add(stretch)
    for candidate in rest:
        collector.take(_pair(candidate))


def is_garbled(question: str, answer: str) -> bool:
    """Whether the question's grammar is broken, it says the same four words twice, or asks for a percentage where
    the answer has none."""
    if re.search(r"\bpercent", question) and not re.search(r"%|\bper ?cent|\bhalf\b|\bthirds?\b|\bquarter", answer):
        return True
    words = question.lower().rstrip(QUESTION_MARKS).split()
    runs = list(zip(words, words[1:], words[2:], words[3:]))
    return bool(GARBLED.match(question)) or len(set(runs)) < len(runs)


def _pair(candidate: Candidate) -> QAPair:
    sentence = candidate.sentence
    return QAPair(candidate.question, sentence.answer, origin="extracted", evidence=[(sentence.start, sentence.end)])
