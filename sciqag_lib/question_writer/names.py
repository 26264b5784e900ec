"""Rules that ask what something is, what it is called, and what it is made of.

definition  "A drumlin is a hill that ice has shaped."   -> "What is a drumlin?"
defined     "Runoff is defined as water that ..."        -> "How is runoff defined?"
naming      "Such hills are called drumlins."            -> "What are such hills called?"
parts       "Granite is composed of quartz and mica."    -> "What is granite composed of?"
use         "Sphagnum is used as a wound dressing."      -> "What is sphagnum used as?"
meaning     "Low pollen counts imply that trees died."   -> "What do low pollen counts imply?"
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sciqag_lib.question_writer.clauses import Clause, list_phrase, list_subtrees
from sciqag_lib.question_writer.effects import names_something
from sciqag_lib.question_writer.turning import Draft, ask_about, ask_inverted

if TYPE_CHECKING:
    from spacy.tokens import Token

MAX_NAME_WORDS = 6
_USES = {"involve": ("in",), "implicate": ("in",), "require": ("for",), "need": ("for",), "use": ("as", "for"),
         "know": ("for",), "base": ("on",), "characterize": ("by",), "derive": ("from",)}  # fmt: skip
_MEANING = frozenset("suggest imply indicate reveal show demonstrate".split())
_FIRST = frozenset("main major primary leading principal predominant only".split())
_AIMS = frozenset("aim goal objective purpose limitation strength task advantage problem challenge".split())
_VAGUE = frozenset(
    "means tool key target sign structure marker reminder source area topic feature example reason step way part "
    "result case issue problem question finding limitation goal aim one challenge advantage strength factor method "
    "candidate function matter concern kind option".split()
)


def ask_definition(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: name "is" "a" or "the" noun that a clause or phrase says more of; present tense.

    Example: "A drumlin is a hill that ice has shaped." Not: "The aim is a test of ...", "It is a hill.", "Oak was a
    choice."
    """
    nouns = [head for head in clause.find("attr") if head.pos_ in ("NOUN", "PROPN")]
    words = [token for token in clause.subject_tokens if token.is_alpha]
    if clause.verb.lower_ not in ("is", "are") or len(nouns) != 1 or len(clause.verbs) > 1 or clause.is_compound:
        return
    told = any(child.dep_ in ("relcl", "acl", "prep") for child in nouns[0].children)
    counted = any(child.dep_ in ("nummod", "poss") or child.tag_ == "RBS" for child in nouns[0].children)
    plain = (
        names_something(clause.subject)
        and not any(child.dep_ == "prep" for child in clause.subject.children)
        and len(words) <= MAX_NAME_WORDS
        and not _is_the(clause.subject)
    )
    if told and plain and not counted and nouns[0].lemma_ not in _VAGUE and clause.subject.lemma_ not in _VAGUE:
        if not clause.is_negated and not clause.fronted:
            yield ask_about(clause, f"what {clause.verb.lower_}", [clause.subject_tokens])


def _is_the(noun: "Token") -> bool:
    return any(child.dep_ in ("det", "poss") and child.lower_ not in ("a", "an") for child in noun.children)


def ask_defined(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: X is defined as Y.

    Example: "Runoff is defined as water that leaves a field." Not: "Groups were defined by age."
    """
    heads = [head for head in clause.find("prep", "advcl") if head.left_edge.lower_ == "as"]
    if clause.verb.lemma_ == "define" and heads and clause.subject.pos_ != "PRON" and len(clause.verbs) == 1:
        yield ask_inverted(clause, "how", list_subtrees(heads))


def ask_naming(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: X is called, termed, named, known as or referred to as Y.

    Example: "Hills shaped by ice are called drumlins." Not: "Help was called." and "It is called a drumlin."
    """
    names = clause.find("oprd", "attr", "dobj")
    if clause.verb.lemma_ in ("call", "term", "name") and clause.subject.dep_ == "nsubjpass" and len(names) == 1:
        yield ask_inverted(clause, "what", list_subtrees(names))
    known = [head for head in clause.find("prep") if head.lower_ == "as" and head.head.lemma_ in ("know", "refer")]
    if clause.verb.lemma_ in ("know", "refer") and clause.subject.dep_ == "nsubjpass" and known:
        drop = list_subtrees(child for head in known[:1] for child in head.children)
        yield ask_inverted(clause, "what", drop)


def ask_parts(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: X is composed of, is made of, consists of, or comprises Y.

    Example: "Granite is composed of quartz and mica." Not: "It consists of quartz."
    """
    heads = [head for head in clause.find("prep") if head.lower_ == "of"]
    if clause.verb.lemma_ in ("compose", "make", "form", "consist") and heads and names_something(clause.subject):
        nouns = [child for child in heads[0].children if child.dep_ == "pobj"]
        behind = {token for token in clause.predicate if token.i > heads[0].right_edge.i}
        if nouns and len(clause.verbs) == 1 and not clause.is_compound:
            yield ask_inverted(clause, "what", list_subtrees(nouns) | behind)


def ask_use(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: X is involved in, required for, used as, known for, ... Y, in the present tense.

    Example: "Chitinase is involved in the molting of crabs." Not: "We were involved in talks.", "PCR was used for
    the assay."
    """
    heads = [head for head in clause.find("prep") if head.lower_ in _USES.get(clause.verb.lemma_, ())]
    if clause.subject.dep_ != "nsubjpass" or not heads or len(clause.verbs) > 1 or clause.is_past or clause.is_compound:
        return
    nouns = [child for child in heads[0].children if child.dep_ in ("pobj", "pcomp")]
    behind = {token for token in clause.predicate if token.i > heads[0].right_edge.i}
    if nouns and names_something(clause.subject) and not clause.is_negated:
        yield ask_inverted(clause, "what", list_subtrees(nouns) | behind)


def ask_meaning(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: X suggests, implies or indicates "that" something.

    Example: "Low pollen counts imply that trees died." Not: "The results suggest that trees died.", "It implies
    that ..."
    """
    told = [head for head in clause.find("ccomp") if any(child.lower_ == "that" for child in head.children)]
    words = [token for token in clause.subject_tokens if token.is_alpha]
    if (
        clause.verb.lemma_ in _MEANING
        and told
        and not clause.find("dobj")
        and len(clause.verbs) == 1
        and len(words) > 2
    ):
        if names_something(clause.subject) and clause.subject.pos_ == "NOUN":
            yield ask_inverted(clause, "what", list_subtrees(told))


def ask_identity(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: the main, most common or strongest of a kind "is" something, in either order.

    Example: "The main cause of losses was frost." Not: "The main aim was to grow.", "Frost was strongest in May.", "It
    is the main cause."
    """
    nouns = [head for head in clause.find("attr") if head.pos_ in ("NOUN", "PROPN") or head.lower_ == "one"]
    if clause.verb != clause.finite or clause.verb.lemma_ != "be" or len(nouns) != 1 or len(clause.verbs) > 1:
        return
    if clause.is_negated or not names_something(nouns[0]) and not _is_first(nouns[0]):
        return
    be = clause.verb.lower_
    if _is_first(clause.subject) and clause.subject.lemma_ not in _AIMS:
        yield ask_about(clause, f"what {be}", [clause.subject_tokens])
    elif _is_first(nouns[0]) and names_something(clause.subject) and nouns[0].lemma_ not in _AIMS:
        be = be if nouns[0].tag_ in ("NNS", "NNPS") else {"are": "is", "were": "was"}.get(be, be)
        yield ask_about(clause, f"what {be}", [list_phrase(nouns[0])])


def _is_first(noun: "Token") -> bool:
    """ "the main cause of", "one of the most common causes of": of its kind, and the kind is named."""
    if noun.lower_ in ("most", "majority"):
        return False
    named = any(child.dep_ in ("prep", "relcl", "acl") for child in noun.children)
    inside = [token for token in noun.subtree if token.i <= noun.i + 5]
    return named and any(token.tag_ in ("JJS", "RBS") or token.lower_ in _FIRST for token in inside)
