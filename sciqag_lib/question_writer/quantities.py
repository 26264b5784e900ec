"""Rules that ask for a number: how many, what share, what value, how great a change.

number  "Twelve wells contained arsenic."        -> "How many wells contained arsenic?"
share   "Some 40% of wells contained arsenic."   -> "What percentage of wells contained arsenic?"
value   "The median depth was 61 m."             -> "What was the median depth?"
range   "Depths ranged from 3 to 90 m."          -> "What was the range of depths?"
change  "Yields fell by 12%."                    -> "By how much did yields fall?"
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sciqag_lib.question_writer.clauses import FINITE, Clause, list_subtrees
from sciqag_lib.question_writer.effects import has_number, names_something
from sciqag_lib.question_writer.turning import Draft, ask_about, ask_inverted, write_tokens

if TYPE_CHECKING:
    from spacy.tokens import Token

_MOVING = frozenset("increase decrease rise fall drop decline grow improve reduce shrink climb widen double".split())
_UNIT = re.compile(
    r"(?:%|percent|°C|[kmµμn]?[glmLM]|[kM]?bp|kb|Mb|kDa|[kM]?Hz|ha|h|s|min|seconds?|minutes?|hours?|days?|weeks?"
    r"|months?|years?|degrees?|nm|cm|mm|km|ml|mg|kg|fold|times?|points?|orders?|meters?|kilometers?|grams?|pages?"
    r"|mice|steps?)\.?$"
)
_SHIFTING = frozenset(
    "reduce elevate upregulate downregulate enhance lower raise diminish impair increase decrease suppress".split()
)
_WITH = frozenset("in after with during among following upon under on as within".split())
_FOLD = re.compile(r"(?:\d[\d.]*|two|three|four|five|six|ten)-?\s?fold$", re.IGNORECASE)
_PLACES = frozenset("in for at among during".split())
_DIMENSIONS = frozenset("length width height depth size diameter area weight total age volume".split())
_PRONOUNS = frozenset("it they this that these those".split())


def ask_number(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: a counted noun as subject, as object, or after "there were".

    Example: "There were 45 ponds on the island." Not: "One reason was ...", years, units ("took 3 days"), and "Two of
    them".
    """
    if clause.is_compound:
        return
    if clause.subject.lower_ == "there":
        for noun in clause.find("attr"):
            if number := _find_number(noun):
                drop = list_subtrees([number, *_qualifiers(noun)])
                rest = [token for token in noun.subtree if token not in drop]
                behind = [token for token in clause.predicate if token.i > noun.right_edge.i]
                before, after = _split_at(rest, noun)
                yield ask_about(clause, "how many", [before, f"{clause.verb.text} there", [*after, *behind]])
    elif clause.is_negated:
        return
    elif number := _find_number(clause.subject):
        if (clause.finite or clause.verb).tag_ == "VBZ":
            return  # "20 rats is enough"
        drop = list_subtrees([number, *_qualifiers(clause.subject)])
        tokens = [token for token in clause.subject_tokens if token not in drop]
        yield ask_about(clause, "how many", [tokens, clause.predicate])
    elif clause.subject.pos_ not in ("PRON", "NUM") and len(clause.verbs) == 1:
        for noun in clause.find("dobj")[:1]:
            if number := _find_number(noun):
                drop = list_subtrees([number, *_qualifiers(noun)])
                named, after = _split_at([token for token in noun.subtree if token not in drop], noun)
                from_here = ask_inverted(clause, "X", set(noun.subtree))
                if from_here and not after:
                    body = from_here.body.replace("X ", f"how many {write_tokens(named)} ", 1)
                    yield Draft(from_here.front, body, [*named, *from_here.tokens])


def ask_share(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: a percentage "of" something as subject.

    Example: "Almost 40% of wells were dry." Not: "A share of 40% is high." and "40% and 50% of wells, respectively".
    """
    subject = clause.subject
    share = subject.text in ("%", "percent") and any(child.like_num for child in subject.children)
    wholes = [child for child in subject.children if child.dep_ == "prep" and child.lower_ == "of"]
    if share and len(wholes) == 1 and not clause.is_compound and not _is_listed(subject):
        yield ask_about(clause, "what percentage", [list(wholes[0].subtree), clause.predicate])


def ask_value(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: subject "was" number and unit; the subject must say more than one word.

    Example: "The median depth was 61 m." Not: "Depth was 61 m.", "The wells were two of many.", and several values
    with "respectively".
    """
    if clause.verb != clause.finite or clause.verb.lemma_ != "be" or clause.subject.dep_ != "nsubj":
        return
    values = [head for head in clause.find("attr", "acomp") if _is_value(head)]
    content = [token for token in clause.subject_tokens if token.pos_ in ("NOUN", "PROPN", "ADJ")]
    listed = any(token.lower_ == "respectively" for token in clause.verb.subtree)
    if len(values) != 1 or len(content) < 2 or listed or clause.is_compound or len(clause.verbs) > 1:
        return
    places = [head for head in values[0].children if head.dep_ == "prep" and head.lower_ in _PLACES]
    behind = [token for token in clause.predicate if token.i > values[0].right_edge.i]
    behind = sorted([*behind, *(token for head in places for token in head.subtree)], key=lambda token: token.i)
    dimension = any(token.lemma_ in _DIMENSIONS for token in behind)
    if not dimension and (not behind or behind[0].dep_ in ("prep", "advcl", "mark")):
        yield ask_about(clause, f"what {clause.verb.lower_}", [clause.subject_tokens, behind])


def ask_range(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: subject "ranged" or "varied" from number to number.

    Example: "Depths ranged from 3 to 90 m." Not: "Topics ranged from ethics to law."
    """
    heads = [head for head in clause.find("prep") if head.lower_ in ("from", "between") and has_number(head)]
    if clause.verb.lemma_ in ("range", "vary") and heads and clause.subject.lower_ not in _PRONOUNS:
        behind = [token for token in clause.predicate if token.i > max(head.right_edge.i for head in heads)]
        behind = [token for token in behind if not has_number(token)]
        be = "was" if clause.verb.tag_ == "VBD" else "is"
        yield ask_about(clause, f"what {be} the range of", [clause.subject_tokens, [] if _has_to(behind) else behind])


def _has_to(tokens: list["Token"]) -> bool:
    return any(token.lower_ == "to" for token in tokens)


def ask_change(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: a verb of rise or fall, "by" a number, a number of "fold", or "from" a number "to" a number.

    Example: "Yields fell from 9 to 4 tons." Not: "Yields fell by the wayside.", "Yields fell in 1998."
    """
    if clause.verb.lemma_ not in _MOVING or len(clause.verbs) > 1 or clause.is_compound:
        return
    heads = [head for head in clause.find("prep", "agent") if head.lower_ in ("by", "from", "to") and has_number(head)]
    folds = [head for head in clause.find("advmod", "npadvmod", "dobj") if _FOLD.match(head.text) or _is_value(head)]
    if (heads or folds) and clause.subject.lower_ not in _PRONOUNS:
        how = "by how much" if folds or heads[0].lower_ == "by" else "how much"
        measured = [head for head in clause.find("prep", "advcl") if has_number(head) or head.lower_ in ("by", "to")]
        drop = list_subtrees([*heads, *folds, *measured])
        first = min(token.i for token in drop)
        commas = [token.i for token in clause.predicate if token.text == "," and token.i > first]
        drop |= {token for token in clause.predicate if commas and token.i >= commas[0]}
        adverbs = [head for head in clause.find("advmod") if head.tag_ == "RB" and head.right_edge == head]
        yield ask_inverted(clause, how, drop | set(adverbs))


def ask_trend(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: a verb of rise or fall without a number, and what the change goes with.

    Example: "Milk yields decreased after weaning." Not: "Yields fell.", which says nothing of when, and "Yields fell by
    12%.", which has a number.
    """
    passive = clause.subject.dep_ == "nsubjpass" and clause.core == clause.verb
    if clause.core.lemma_ not in (_SHIFTING if passive else _MOVING) or len(clause.verbs) > 1 or clause.is_compound:
        return
    held = [head for head in clause.find("prep", "advcl") if head.lower_ in _WITH or head.tag_ in FINITE]
    numbers = clause.find("dobj", "agent", "npadvmod") or any(has_number(head) for head in clause.find("prep"))
    if held and not numbers and clause.subject.pos_ in ("NOUN", "PROPN") and names_something(clause.subject):
        change = {"VBN": "changed", "VBG": "changing"}.get(clause.core.tag_, "change")
        drop = [head for head in clause.find("advmod", "neg", "acomp") if head.right_edge == head]
        yield ask_inverted(clause, "how", set(drop), {clause.core: change})


# Numbers -------------------------------------------------------------------------------------------------------------


def _find_number(noun: "Token") -> "Token | None":
    """The number that counts a plural noun."""
    numbers = [child for child in noun.children if child.dep_ == "nummod" and child.i < noun.i]
    plural = noun.tag_ in ("NNS", "NNPS") and not _UNIT.match(noun.text)
    fixed = any(child.dep_ in ("poss", "det") for child in noun.children)
    if (
        len(numbers) != 1
        or not numbers[0].like_num
        or not plural
        or fixed
        or _is_listed(noun)
        or not names_something(noun)
    ):
        return None
    return numbers[0]


def _qualifiers(noun: "Token") -> list["Token"]:
    """ "at least", "only" and the like before the number."""
    return [child for child in noun.children if child.dep_ in ("advmod", "quantmod") and child.i < noun.i]


def _is_listed(noun: "Token") -> bool:
    return any(child.dep_ == "conj" for child in noun.children)


def _is_value(head: "Token") -> bool:
    if head.like_num and head.pos_ == "NUM" and head.lower_ != "one":
        return True
    numbers = [child for child in head.children if child.dep_ == "nummod"]
    return bool(numbers) and (_UNIT.match(head.text) is not None or numbers[0].text[0].isdigit())


def _split_at(tokens: list["Token"], noun: "Token") -> tuple[list["Token"], list["Token"]]:
    return [token for token in tokens if token.i <= noun.i], [token for token in tokens if token.i > noun.i]
