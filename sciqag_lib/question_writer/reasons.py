"""Rules that ask why: for a cause, and for a purpose.

cause    "The bridge failed because its bolts rusted."   -> "Why did the bridge fail?"
source   "The color is due to iron oxides."              -> "What is the color due to?"
purpose  "Plants close stomata in order to save water."  -> "Why do plants close stomata?"
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sciqag_lib.question_writer.clauses import Clause, list_subtrees
from sciqag_lib.question_writer.effects import names_something
from sciqag_lib.question_writer.turning import Draft, ask_inverted

if TYPE_CHECKING:
    from spacy.tokens import Token

_CAUSE = re.compile(
    r"(?:(?:in part|at least in part|\w+ly|perhaps|partly|probably|likely|mostly|simply) )?"
    r"(?:because|due to|owing to|on account of|thanks to|as a (?:\w+ )?(?:result|consequence) of)\b",
    re.IGNORECASE,
)
_PURPOSE = re.compile(r"(?:in order (?:to|that|for)|so that|so as to)\b", re.IGNORECASE)
_ADJUNCTS = ("prep", "advcl", "advmod", "mark")


def ask_cause(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: a clause or phrase of cause on the verb, before or after it.

    Example: "Yields fell because of a drought." Not: "Because yields fell, ..." without a subject of its own to ask
    about, "This is because ...", and a cause tied to a noun ("losses due to drought were high").
    """
    for head in _find_adjuncts(clause, _CAUSE):
        drop = list_subtrees([head])
        named = clause.subject.dep_ == "expl" or names_something(clause.subject)
        if _says_enough(clause, drop) and named and not clause.find("ccomp"):
            draft = ask_inverted(clause, "why", drop)
            is_left = draft and any(token.lower_ in ("because", "due") for token in draft.tokens)
            yield None if is_left else draft


def ask_source(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: X is (mainly) due to Y; X results, arises or stems from Y.

    Example: "Most errors resulted from poor light." Not: "The rent is due." and "Errors resulted in losses."
    """
    for head in clause.find("acomp", "prep"):
        drop = set()
        if head.lower_ == "due" and clause.verb.lemma_ == "be":
            objects = [child for child in head.subtree if child.dep_ == "pobj" and child.head.lower_ == "to"]
            drop = list_subtrees(objects[:1])
        elif head.lower_ == "from" and clause.verb.lemma_ in ("result", "arise", "stem", "originate", "derive"):
            drop = list_subtrees(child for child in head.children if child.dep_ == "pobj")
        if drop and len(clause.verbs) == 1:
            last = max(token.i for token in drop)
            behind = {token for token in clause.predicate if token.i > last or token.dep_ == "advmod"}
            yield ask_inverted(clause, "what", drop | behind)


def ask_purpose(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: in order to, so as to, so that.

    Example: "Seals dive deep in order to find squid." Not: "so high that ...", "to" alone (it may belong to the verb:
    "failed to grow"), and what "we" did.
    """
    for head in _find_adjuncts(clause, _PURPOSE):
        drop = list_subtrees([head])
        if _says_enough(clause, drop):
            yield ask_inverted(clause, "why", drop)


def _find_adjuncts(clause: Clause, opening: re.Pattern[str]) -> list["Token"]:
    """The heads of the phrases that open so. Where verbs are coordinated the phrase must come last: of an earlier one
    it is not plain which of them it is about."""
    heads = [head for head in (*clause.find(*_ADJUNCTS), *clause.fronted) if opening.match(_open_text(head))]
    if opening is _CAUSE:
        heads += [head for head in clause.fronted if _gives_ground(head)]
    if len(clause.verbs) == 1:
        return heads[:1]
    return [head for head in heads if head.head == clause.verbs[-1] or head.left_edge.i > clause.verbs[-1].i][:1]


def _gives_ground(head: "Token") -> bool:
    """ "Since light is scarce, ..." and "As light is scarce, ...", in the present: of the past it may be time."""
    verbs = [head, *head.children]
    return (
        head.dep_ == "advcl"
        and head.left_edge.lower_ in ("since", "as")
        and any(verb.tag_ in ("VBZ", "VBP") for verb in verbs)
    )


def _open_text(head: "Token") -> str:
    edge = head.left_edge
    return head.doc[edge.i : min(edge.i + 7, head.right_edge.i + 1)].text


def _says_enough(clause: Clause, drop: set["Token"]) -> bool:
    """Whether a statement is left: "X is high", not "This is"."""
    left = [token for token in clause.predicate if token not in drop and token.is_alpha]
    return bool(left) and not (clause.verb.lemma_ == "be" and clause.verb == clause.finite and len(left) < 2)
