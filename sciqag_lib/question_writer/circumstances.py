"""Rules that ask for means, conditions, time and place.

means      "Bats find moths by listening to echoes."    -> "How do bats find moths?"
condition  "Seeds sprout only if the soil is warm."     -> "Under what conditions do seeds sprout?"
event      "When the dam broke, the valley flooded."    -> "What happened when the dam broke?"
time       "The dam broke in 1963."                     -> "When did the dam break?"
place      "The enzyme is found in leaves."             -> "Where is the enzyme found?"
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sciqag_lib.question_writer.clauses import Clause, list_phrase, list_subtrees
from sciqag_lib.question_writer.turning import Draft, ask_about, ask_inverted

if TYPE_CHECKING:
    from spacy.tokens import Token

_YEAR = re.compile(r"(?:1[5-9]|20)\d\d$")
_PLACED = frozenset("localize locate find reside live situate concentrate accumulate occur".split())
_IN = frozenset("in at within on to near around along inside outside".split())
_GENERIC_PLACES = frozenset(
    "study case addition general fact contrast literature way manner example data analysis figure table response "
    "order term context presence absence pattern level rate frequency amount number time stage year group "
    "concentration degree extent set paper work process region".split()
)


def ask_means(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: "by" and a verb in -ing on the main verb.

    Example: "Bats find moths by listening to echoes." Not: "was done by Smith", "by 10%", and a way tied to another
    verb ("helps to save water by closing pores").
    """
    ways = [head for head in clause.find("prep", "agent") if _is_way(head)]
    if clause.verb == clause.finite or clause.verb.lemma_ in ("cause", "explain", "drive", "determine"):
        return
    if ways and not clause.is_compound and (len(clause.verbs) == 1 or ways[0].head == clause.verbs[-1]):
        yield ask_inverted(clause, "how", list_subtrees(ways[:1]))


def _is_way(head: "Token") -> bool:
    return head.lower_ == "by" and any(child.dep_ == "pcomp" and child.tag_ == "VBG" for child in head.children)


def ask_condition(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: a clause of "if", "when", "unless" or "only when" after the main clause.

    Example: "Seeds sprout only if the soil is warm." Not: "asked if ...", and a clause that opens the sentence.
    """
    for head in clause.find("advcl"):
        marks = [token.lower_ for token in head.subtree if token.i <= head.left_edge.i + 1]
        if clause.is_compound or len(clause.verbs) > 1 or not {"if", "when", "unless"} & set(marks):
            continue
        if head.left_edge.nbor(-1).text == "," or head.lemma_ in ("compare", "come", "take"):  # "..., when in fact ..."
            continue
        only = [token for token in clause.find("advmod") if token.lower_ == "only"]
        yield ask_inverted(clause, "under what conditions", list_subtrees([head, *only]))


def ask_event(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: a clause of "when" or "if", with a subject of its own, before the main clause.

    Example: "When the dam broke, the valley flooded." Not: "When needed, pumps were used." and "If so, ..."
    """
    for head in clause.fronted:
        opening = head.left_edge.lower_
        own = any(
            child.dep_ in ("nsubj", "nsubjpass") and child.pos_ != "PRON" and child.lower_ != "one"
            for child in head.children
        )
        if head.dep_ == "advcl" and opening in ("when", "if") and own and not clause.subject.lower_ == "we":
            happen = "happened" if clause.is_past else "happens"
            others = {other for other in clause.fronted if other != head}
            helper = clause.finite.lower_ if clause.finite is not None and clause.finite.tag_ == "MD" else ""
            verb = f"{helper} happen" if helper else happen
            yield ask_about(clause, f"what {verb}", [_drop_then(list_phrase(head))], [head]) if not others else None


def _drop_then(tokens: list["Token"]) -> list["Token"]:
    """Without the "then" that opens the main clause and is parsed as the end of this one."""
    return tokens[:-1] if tokens[-1].lower_ == "then" else tokens


def ask_time(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: "in" a year on the main verb, past.

    Example: "The dam broke in 1963." Not: "was reported in 1963 wells", "between 1963 and 1970".
    """
    years = [
        head for head in clause.find("prep") if head.lower_ in ("in", "since")
        and any(_YEAR.match(child.text) and child.right_edge == child for child in head.children)
    ]  # fmt: skip
    if len(years) == 1 and len(clause.verbs) == 1 and not clause.is_compound:
        opening = "since when" if years[0].lower_ == "since" else "when"
        yield ask_inverted(clause, opening, list_subtrees(years))


def ask_place(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: a verb of _PLACED with its place.

    Example: "The enzyme is found in leaves." Not: "was found to grow", "is found in the present study".
    """
    places = [
        head for head in clause.find("prep") if head.lower_ in _IN and head.head == clause.verb
        and any(child.dep_ == "pobj" and child.lemma_ not in _GENERIC_PLACES for child in head.children)
    ]  # fmt: skip
    blocked = clause.find("xcomp", "dobj", "oprd", "ccomp")
    if clause.verb.lemma_ in _PLACED and places and not blocked and len(clause.verbs) == 1 and not clause.is_negated:
        adverbs = {
            head for head in clause.find("advmod") if head.lower_ in ("mainly", "predominantly", "primarily", "only")
        }
        yield ask_inverted(clause, "where", list_subtrees(places) | adverbs)
