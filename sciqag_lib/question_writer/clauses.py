"""The clause of a sentence that a question can be made of, and the two ways to turn it round.

"In mice, zinc prevents rust by forming a layer." has the parts

    fronted    "in mice"
    subject    "zinc"
    verbs      prevents (and those that share its subject: "coats and prevents")
    predicate  prevents rust by forming a layer

and becomes "What prevents rust by forming a layer?" (ask_subject) or "How does zinc prevent rust?" (ask_inverted).
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

SUBJECTS = ("nsubj", "nsubjpass", "expl")
FINITE = ("VBD", "VBP", "VBZ", "MD")
# What follows "that" after these is said as a fact: the question is about it. "Suggest" would lose its doubt.
REPORTING = frozenset("show find demonstrate reveal report observe confirm establish note discover see".split())
# They tie a sentence to the one before; a question has none before it.
DISCOURSE = frozenset(
    "however thus therefore also hence moreover furthermore additionally consequently accordingly indeed then finally "
    "interestingly notably importantly surprisingly further nevertheless nonetheless similarly likewise conversely "
    "firstly secondly thirdly lastly evidently obviously instead still again overall meanwhile too clearly remarkably "
    "specifically even subsequently and but or so yet".split()
)
MAX_FRONT_WORDS = 14
_LINK = re.compile(
    r"(?:in (?:fact|particular|addition|general|contrast|summary|conclusion|brief|principle|turn|all|short|this|that"
    r"|these|other words|comparison|agreement|line|accordance|our|the (?:first|second|end|meantime))|to date|of note"
    r"|as (?:expected|we|noted)|by contrast|on the other|at least|as a (?:result|consequence)$|for this|first|second"
    r"|third|fourth|now|together|taken|consistent|at the same time|on average$|given|going|since then|based on our"
    r"|here|compared|unlike|more (?:recently|importantly)|most \w+ly|not \w+ly|rather|similar|like|according"
    r"|after all)\b",
    re.IGNORECASE,
)
_RAISING = frozenset(
    "show find report know think believe hypothesize suggest propose predict expect demonstrate tend appear seem help "
    "fail consider observe say assume suppose estimate".split()
)
_EVERYWHERE = frozenset("globally worldwide nationally annually historically internationally".split())
_CONTRAST = frozenset("whereas while although though".split())


@dataclass
class Clause:
    verb: "Token"
    subject: "Token"
    core: "Token"  # the verb that says what happens: "grow" of "has been shown to grow"
    verbs: list["Token"]  # with those coordinated to it that have no subject of their own
    finite: "Token | None"  # the auxiliary or the copula that an inversion moves; None needs "do"
    fronted: list["Token"]  # the heads of what comes before the subject
    predicate: list["Token"]
    is_compound: bool  # a second clause with a subject of its own follows
    num_cut: int = 0  # words of the sentence after the subject that no question holds

    @property
    def subject_tokens(self) -> list["Token"]:
        """The subject's phrase, without its asides."""
        return list_phrase(self.subject)

    @property
    def is_past(self) -> bool:
        """Whether it is told in the simple past."""
        return (self.finite or self.verb).tag_ == "VBD"

    @property
    def is_negated(self) -> bool:
        """Whether its verb has "not"."""
        return any(child.dep_ == "neg" for child in self.verb.children)

    def find(self, *names: str) -> list["Token"]:
        """What depends on one of the verbs by these ties, after the subject."""
        return [
            child
            for verb in dict.fromkeys([*self.verbs, self.core])
            for child in verb.children
            if child.dep_ in names and child.i > self.subject.i and child in self.predicate
        ]


def find_clause(doc: "Doc") -> Clause | None:
    """The main clause, or the one that "we found that" reports; None where there is no finite verb with a subject."""
    roots = [token for token in doc if token.dep_ == "ROOT"]
    if len(roots) != 1:
        return None
    verb = _skip_report(roots[0])
    subject = next((child for child in verb.children if child.dep_ in SUBJECTS and child.i < verb.i), None)
    helpers = [child for child in verb.children if child.dep_ in ("aux", "auxpass") and child.tag_ != "TO"]
    finite = helpers[0] if helpers else verb if verb.lemma_ == "be" else None
    if (
        subject is None
        or subject.left_edge.tag_.startswith("W")
        or (finite or verb).tag_ not in FINITE
        or (finite or verb).i < subject.i
    ):
        return None
    verbs, is_compound = _collect_verbs(verb)
    start, end = subject.left_edge.i, max(token.i for token in subject.subtree)
    fronted = [
        child
        for child in verb.children
        if child.i < start and child.dep_ in ("prep", "advcl", "npadvmod", "advmod") and not _is_link(child)
    ]
    whole = [token for token in verb.subtree if token.i > end and token.text != "."]
    dropped = _list_asides(verb, whole)
    predicate = [token for token in whole if token not in dropped and not _is_loose(token)]
    num_cut = sum(token.is_alpha for token in whole) - sum(token.is_alpha for token in predicate)
    return Clause(verb, subject, _find_core(verb), verbs, finite, fronted, predicate, is_compound, num_cut)


def _is_link(head: "Token") -> bool:
    """Whether a phrase before the subject ties the sentence to others, and says nothing of the matter."""
    edge = head.left_edge
    contrast = head.dep_ == "advcl" and edge.lower_ in _CONTRAST
    if head.dep_ == "advmod":
        return head.lower_ not in _EVERYWHERE
    return (
        contrast or head.lower_ in DISCOURSE or _LINK.match(head.doc[edge.i : head.right_edge.i + 1].text) is not None
    )


def _skip_report(root: "Token") -> "Token":
    if root.lemma_ not in REPORTING or any(child.dep_ == "neg" or child.tag_ == "MD" for child in root.children):
        return root
    told = [child for child in root.children if child.dep_ == "ccomp" and child.i > root.i]
    return told[0] if told and any(child.lower_ == "that" for child in told[0].children) else root


def _find_core(verb: "Token") -> "Token":
    for child in verb.children:
        plain = child.dep_ == "xcomp" and any(grandchild.tag_ == "TO" for grandchild in child.children)
        if plain and verb.lemma_ in _RAISING and child.i > verb.i:
            return child
    return verb


def _collect_verbs(verb: "Token") -> tuple[list["Token"], bool]:
    verbs, is_compound = [verb], False
    for token in verbs:
        for child in token.children:
            if child.dep_ in ("conj", "ccomp", "parataxis") and child.pos_ in ("VERB", "AUX") and child.i > token.i:
                if any(grandchild.dep_ in SUBJECTS for grandchild in child.children):
                    is_compound = is_compound or child.dep_ != "ccomp" or child.tag_ in FINITE and child.i < verb.i
                elif child.dep_ == "conj":
                    verbs.append(child)
    return verbs, is_compound


def _list_asides(verb: "Token", tokens: list["Token"]) -> set["Token"]:
    """What a question leaves out: clauses set off by a comma, and what follows a colon."""
    asides: set[Token] = set()
    for token in tokens:
        if token == verb:
            continue
        edge = token.left_edge
        after_comma = edge.i > 0 and edge.nbor(-1).text in (",", "–", "—", ":")
        contrast = token.dep_ == "advcl" and any(child.lower_ in _CONTRAST for child in token.children)
        participle = token.dep_ == "advcl" and token.tag_ in ("VBG", "VBN")
        aside = token.dep_ == "advcl" and edge.lower_ in ("especially", "particularly", "even")
        aside = aside or token.dep_ == "prep" and edge.lower_ == "including"
        if after_comma and (token.dep_ in ("relcl", "appos", "acl") or contrast or participle or aside):
            asides.update(token.subtree)
        elif token.text in (":", "–", "—") and token.i > verb.i and token.whitespace_:
            asides.update(other for other in tokens if other.i >= token.i)
    return asides


def _is_loose(token: "Token") -> bool:
    """ "also grows", but not "too old"."""
    plain = token.dep_ == "advmod" and token.head.pos_ in ("VERB", "AUX") and not list(token.children)
    return plain and token.lower_ in DISCOURSE


def list_phrase(head: "Token", drop: Collection["Token"] = ()) -> list["Token"]:
    """The tokens of a head and all that depends on it, asides left out."""
    tokens = list(head.subtree)
    asides = _list_asides(head, tokens)
    return [token for token in tokens if token not in drop and token not in asides]


def list_subtrees(heads: Iterable["Token"]) -> set["Token"]:
    """The heads and all that depends on them."""
    return {token for head in heads for token in head.subtree}
