"""Questions for the sentences of a paper, made of their own words; the answer to each is the sentence as a whole.

Written(span=(120, 171), question="In clay soils, why did yields fall?", rule="cause", setting="in clay soils", ...)
Refused(span=(172, 204), reason="open_reference")
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from sciqag_lib.question_writer import circumstances, comparisons, effects, names, quantities, reasons
from sciqag_lib.question_writer.clauses import Clause, find_clause
from sciqag_lib.question_writer.parsing import parse_sentences
from sciqag_lib.question_writer.ranking import describe_question, score_written
from sciqag_lib.question_writer.references import find_open, name_references
from sciqag_lib.question_writer.results import Refused, Written
from sciqag_lib.question_writer.screening import METHODS, SKIPPED_SECTIONS, find_reason, strip_brackets
from sciqag_lib.question_writer.setting import Spelling, choose_setting, find_phrases, find_settings
from sciqag_lib.question_writer.turning import Draft
from sciqag_lib.records.papers import Paper
from sciqag_lib.text.abbreviations import find_abbreviations
from sciqag_lib.text.captions import find_captions
from sciqag_lib.text.expansion import expand_abbreviations
from sciqag_lib.text.sentences import Span, list_content_words

if TYPE_CHECKING:
    from spacy.tokens import Doc

MIN_WORDS, MAX_WORDS = 6, 30
RULES = (
    ("cause", reasons.ask_cause),
    ("source", reasons.ask_source),
    ("purpose", reasons.ask_purpose),
    ("means", circumstances.ask_means),
    ("effect", effects.ask_effect),
    ("agent", effects.ask_agent),
    ("cause_of", effects.ask_cause_of),
    ("object", effects.ask_object),
    ("any_object", effects.ask_any_object),
    ("consequence", effects.ask_consequence),
    ("number", quantities.ask_number),
    ("share", quantities.ask_share),
    ("value", quantities.ask_value),
    ("range", quantities.ask_range),
    ("change", quantities.ask_change),
    ("trend", quantities.ask_trend),
    ("comparison", comparisons.ask_comparison),
    ("shift", comparisons.ask_shift),
    ("possession", comparisons.ask_possession),
    ("likeness", comparisons.ask_likeness),
    ("difference", comparisons.ask_difference),
    ("correlation", comparisons.ask_correlation),
    ("condition", circumstances.ask_condition),
    ("event", circumstances.ask_event),
    ("time", circumstances.ask_time),
    ("place", circumstances.ask_place),
    ("definition", names.ask_definition),
    ("defined", names.ask_defined),
    ("naming", names.ask_naming),
    ("parts", names.ask_parts),
    ("identity", names.ask_identity),
    ("use", names.ask_use),
    ("meaning", names.ask_meaning),
)
_WHY = ("cause", "purpose")  # what was done is worth asking about only for its reason
_PROCEDURES = frozenset(
    "analyze apply amplify assess calculate carry collect compare conduct construct create determine estimate evaluate "
    "examine exclude extract generate include incubate measure obtain perform process profile purchase quantify "
    "randomize record sample screen select sequence stain test treat use wash identify model".split()
)
_PLACED = re.compile(r"(?:in|among|during|at|within|for|on|under)\b", re.IGNORECASE)
# Marks of a question that was put together wrongly: a word twice, a hole before a comma, an end in the air.
_NO_QUESTION = re.compile(
    r"\b(\w+) \1\b|[=<>≥≤;:?!|()]|\bbut\b|\bet al\b|\b(?:if|when|that|which|and|or|of|the),\s"
    r"|\b(?:the|a|an|of|and|or|by|to|with|in|from|for|than),? ?$"
)


@dataclass
class Context:
    """What a paper says outside of the sentence at hand."""

    paper: Paper
    apart: list[Span] = field(init=False)

    def __post_init__(self) -> None:
        self.apart = find_captions(self.paper.txt)

    # Of the whole paper, and only when a sentence first needs them.

    @cached_property
    def spelling(self) -> Spelling:
        return Spelling(f"{self.paper.abstract} {self.paper.txt}")

    @cached_property
    def definitions(self) -> dict[str, str]:
        return find_abbreviations(f"{self.paper.abstract}\n{self.paper.txt}")

    @cached_property
    def settings(self) -> list[str]:
        return find_settings(self.paper, self.spelling)

    @cached_property
    def title_words(self) -> frozenset[str]:
        return frozenset(list_content_words(expand_abbreviations(self.paper.title, self.definitions)))

    def is_apart(self, start: int) -> bool:
        """Whether a sentence that starts there belongs to a caption."""
        place = bisect_right(self.apart, (start, len(self.paper.txt))) - 1
        return place >= 0 and start < self.apart[place][1]

    def find_heading(self, start: int) -> str:
        """The title of the innermost section."""
        titles = [part.title for part in self.paper.sections if part.start <= start < part.end]
        return titles[-1] if titles else ""


def write_questions(spans: Sequence[Span], paper: Paper) -> list[Written | Refused]:
    """Every question that the rules make of the sentences, and for each sentence without one the reason.

    A sentence's questions follow one another, the best first. The same sentences give the same questions. Nothing of
    a sentence is changed: the answer to a question is `paper.txt` from span[0] to span[1].

    Args:
        spans: Sentences, as sciqag_lib.text.sentences.split_sentences gives them, in the paper's order.
    """
    context = Context(paper)
    refused = {span: _screen(span, context) for span in spans}
    kept = [span for span in spans if not refused[span]]
    docs = dict(zip(kept, parse_sentences(strip_brackets(paper.txt[start:end]) for start, end in kept)))
    results: list[Written | Refused] = []
    before: Doc | None = None  # the sentence before, of the same paragraph
    end = 0
    for span in spans:
        doc = docs.get(span)
        before = None if "\n" in paper.txt[end : span[0]] else before
        made = Refused(span, refused[span]) if doc is None else _write(span, doc, before, context)
        results += [made] if isinstance(made, Refused) else made
        before, end = doc, span[1]
    return _drop_repeated(results)


def _drop_repeated(results: list[Written | Refused]) -> list[Written | Refused]:
    """Without the questions that two sentences answer: neither answers as the paper does."""
    askers: dict[str, set[Span]] = {}
    for one in results:
        if isinstance(one, Written):
            askers.setdefault(one.question, set()).add(one.span)
    kept = [one for one in results if isinstance(one, Refused) or len(askers[one.question]) == 1]
    lost = {one.span for one in results} - {one.span for one in kept}
    return sorted([*kept, *(Refused(span, "asked_twice") for span in lost)], key=lambda one: one.span)


def _screen(span: Span, context: Context) -> str:
    heading = context.find_heading(span[0])
    if SKIPPED_SECTIONS.search(heading):
        return "skipped_section"
    if context.is_apart(span[0]):
        return "caption_or_row"
    return find_reason(" ".join(context.paper.txt[span[0] : span[1]].split()))


def _write(span: Span, doc: "Doc", before: "Doc | None", context: Context) -> "list[Written] | Refused":
    named = name_references(doc, before, context.title_words)
    if named:
        doc = next(iter(parse_sentences([named])))
        doc.user_data["named"] = True  # the question says what the answer only points to
    is_name = context.spelling.opens_with_name(doc[0].text)
    if is_name is not None:
        doc.user_data["opens_with_name"] = is_name
    clause = find_clause(doc)
    if clause is None:
        return Refused(span, "no_clause")
    if clause.is_compound or ";" in doc.text:
        return Refused(span, "two_statements")
    is_method = bool(METHODS.search(context.find_heading(span[0]).split(" / ")[0]))
    if is_method and clause.is_past:
        return Refused(span, "procedure")
    if find_open(clause.verb.subtree, context.title_words):
        return Refused(span, "open_reference")
    drafts = list(_draft(clause))
    if clause.is_past and clause.subject.dep_ == "nsubjpass" and clause.verb.lemma_ in _PROCEDURES:
        drafts = [draft for draft in drafts if draft.rule in _WHY]
        if not drafts:
            return Refused(span, "procedure")
    if not drafts:
        return Refused(span, "no_rule")
    made = [_finish(span, clause, draft, context) for draft in drafts]
    written = [one for one in made if isinstance(one, Written)]
    if not written:
        return Refused(span, "too_general" if "too_general" in made else "poor_question")
    return sorted(written, key=lambda one: (-score_written(one), one.question))


def _draft(clause: Clause) -> Iterator[Draft]:
    for name, rule in RULES:
        for draft in rule(clause):
            if draft is not None:
                draft.rule = name
                yield draft


def names_topic(question: str, draft: Draft, context: Context) -> bool:
    """Whether a question has a word of the paper's title, or a name."""
    named = any(token.pos_ == "PROPN" for token in draft.tokens)
    return named or bool(context.title_words & set(list_content_words(question)))


def _finish(span: Span, clause: Clause, draft: Draft, context: Context) -> Written | str:
    """The question with its setting, or the reason against it."""
    if find_open(draft.tokens, context.title_words):
        return "open_reference"
    sentence = context.paper.txt[span[0] : span[1]]
    question = f"{draft.front}, {draft.body}" if draft.front else draft.body
    setting = _choose_setting(span, question, draft, context)
    if clause.is_past and not setting and not names_topic(question, draft, context):
        return "too_general"
    question = f"{setting}, {question}" if setting else question
    question = expand_abbreviations(question[0].upper() + question[1:] + "?", context.definitions)
    if not MIN_WORDS <= len(question.split()) <= MAX_WORDS or _NO_QUESTION.search(question[:-1]):
        return "poor_question"
    features = describe_question(question, sentence, draft, clause, setting, context.title_words)
    features["answer_points"] = float("named" in clause.verb.doc.user_data)
    features["position"] = span[0] / max(1, len(context.paper.txt))
    return Written(span, question, draft.rule, setting, features)


def _choose_setting(span: Span, question: str, draft: Draft, context: Context) -> str:
    """None for a question that opens with a place of its own, or that asks what something is."""
    if draft.rule in ("definition", "naming") or _PLACED.match(draft.front):
        return ""
    near = find_phrases(context.find_heading(span[0]).split(" / ")[-1], context.spelling)
    told = f"{question} {context.paper.txt[span[0] : span[1]]}"
    return choose_setting(expand_abbreviations(told, context.definitions), told, [*near, *context.settings])
