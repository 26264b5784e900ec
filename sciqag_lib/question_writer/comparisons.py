"""Rules that ask how things compare, differ or go together.

comparison   "Yields were higher in clay than in sand."   -> "How did yields differ between clay and sand?"
             "Oak is denser than pine."                   -> "How does oak compare with pine?"
difference   "Oak differs from pine in its density."      -> "How does oak differ from pine?"
correlation  "Height was strongly related to age."        -> "How was height related to age?"
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sciqag_lib.question_writer.clauses import Clause, list_phrase, list_subtrees
from sciqag_lib.question_writer.turning import Draft, ask_about, ask_inverted
from sciqag_lib.question_writer.verbs import choose_do

if TYPE_CHECKING:
    from spacy.tokens import Token

_PLACES = ("in", "among", "for", "at", "during")
_TIED = frozenset("correlate associate relate link".split())
_SIGNS = frozenset("positively negatively inversely directly strongly weakly linearly closely significantly".split())
_HAVING = frozenset("have show exhibit display report contain produce express reach possess".split())
_SHIFTED = frozenset(
    "increase decrease reduce elevate upregulate downregulate enhance lower raise diminish impair prolong".split()
)


def ask_comparison(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: subject "be" comparative, "than".

    Example: "Oak is denser than pine." Not: "more than 40 wells", "rather than", and a comparison within a clause
    that depends on another.
    """
    than = [token for token in clause.predicate if token.lower_ == "than"]
    if clause.verb.lemma_ != "be" or clause.verb != clause.finite or len(than) != 1 or len(clause.verbs) > 1:
        return
    degree = [head for head in clause.find("acomp", "attr") if _is_comparative(head)]
    if not degree or any(token.dep_ in ("dobj", "oprd") for token in degree[0].subtree if token.i < than[0].i):
        return
    yield _ask_between(clause, than[0], degree[0]) or _ask_with(clause, than[0])


def _is_comparative(head: "Token") -> bool:
    return head.tag_ == "JJR" or any(child.lower_ in ("more", "less") for child in head.children)


def _ask_between(clause: Clause, than: "Token", degree: "Token") -> Draft | None:
    """ "higher in clay than in sand": both places by the same preposition."""
    second = than.nbor(1) if than.i + 1 < len(than.doc) else than
    first = [
        token for token in clause.predicate if token.dep_ == "prep" and degree.i < token.i < than.i
        and token.lower_ == second.lower_ and token.lower_ in _PLACES
    ]  # fmt: skip
    if not first:
        return None
    places = [_list_object(first[-1], than.i), _list_object(second, len(than.doc))]
    between = [token for token in clause.predicate if degree.right_edge.i < token.i < first[-1].i]
    if not all(places) or any(token.is_alpha for token in between):
        return None
    return ask_about(
        clause, f"how {_do(clause)}", [clause.subject_tokens, "differ between", places[0], "and", places[1]]
    )


def _ask_with(clause: Clause, than: "Token") -> Draft | None:
    """ "denser than pine": the other follows "than" itself."""
    others = [token for token in clause.predicate if token.i > than.i]
    commas = [token.i for token in others if token.text == ","]
    others = [token for token in others if not commas or token.i < commas[0]]
    verbal = any(token.pos_ in ("VERB", "AUX") and token.dep_ in ("advcl", "relcl", "ccomp") for token in others)
    if not others or verbal or others[0].tag_ in ("IN", "CD") or any(token.like_num for token in others):
        return None
    return ask_about(clause, f"how {_do(clause)}", [clause.subject_tokens, "compare with", others])


def _list_object(preposition: "Token", end: int) -> list["Token"]:
    nouns = [child for child in preposition.children if child.dep_ == "pobj"]
    return [token for token in nouns[0].subtree if token.i < end] if nouns else []


def _do(clause: Clause) -> str:
    return {"was": "did", "were": "did", "is": "does"}.get(clause.verb.lower_, "do")


def ask_shift(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: subject "was" a verb of _SHIFTED or a comparative, "in" one thing "compared with" another.

    Example: "Growth was reduced in clay compared with sand." Not: "Clay was compared with sand."
    """
    others = [token for token in clause.predicate if token.lower_ in ("compared", "relative", "comparison")]
    is_shift = clause.verb.lemma_ in _SHIFTED and clause.subject.dep_ == "nsubjpass"
    is_degree = clause.verb.lemma_ == "be" and any(_is_comparative(head) for head in clause.find("acomp"))
    if len(others) != 1 or not (is_shift or is_degree) or len(clause.verbs) > 1 or clause.is_compound:
        return
    first = [
        token
        for token in clause.predicate
        if token.dep_ == "prep" and token.lower_ in _PLACES and token.i < others[0].i
    ]
    links = [token for token in others[0].subtree if token.lower_ in ("with", "to") and token.dep_ == "prep"]
    if len(first) == 1 and links:
        did = "did" if clause.is_past or clause.finite and clause.finite.lower_ in ("was", "were") else "do"
        did = "does" if did == "do" and clause.finite and clause.finite.lower_ == "is" else did
        places = [_list_object(first[0], others[0].left_edge.i), _list_object(links[0], len(links[0].doc))]
        if all(places):
            between = [clause.subject_tokens, "differ between", places[0], "and", places[1]]
            yield ask_about(clause, f"how {did}", between)


def ask_possession(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: subject "has" or shows "more" or "higher" of something "than" another.

    Example: "Oak had thicker bark than pine." Not: "Oak had more than 40 rings.", "Oak had thick bark."
    """
    objects = [head for head in clause.find("dobj") if any(child.tag_ == "JJR" for child in head.children)]
    than = [token for token in clause.predicate if token.lower_ == "than" and objects and token.i > objects[0].i]
    if clause.core.lemma_ not in _HAVING or len(objects) != 1 or len(than) != 1 or len(clause.verbs) > 1:
        return
    others = [token for token in clause.predicate if token.i > than[0].i]
    if not others or others[0].tag_ in ("IN", "CD", "VBD", "VBG") or any(token.like_num for token in others):
        return
    if any(token.pos_ in ("VERB", "AUX") and token.dep_ != "amod" for token in others):
        return
    degree = {child for child in objects[0].children if child.tag_ == "JJR" or child.dep_ in ("det", "neg")}
    what = [token for token in objects[0].subtree if token.i < than[0].i and token not in list_subtrees(degree)]
    commas = [token.i for token in others if token.text == ","]
    others = [token for token in others if not commas or token.i < commas[0]]
    did = choose_do(clause.finite or clause.verb)
    yield ask_about(clause, f"how {did}", [clause.subject_tokens, "compare with", others, "in", what])


def ask_likeness(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: subject does not differ "between" one and another, or there is no difference "in" something "between".

    Example: "There was no difference in height between oak and pine." Not: "Heights differed between oak and pine.",
    which says not how.
    """
    if clause.subject.lower_ == "there":
        nouns = [head for head in clause.find("attr") if head.lemma_ == "difference"]
        negated = any(child.lower_ == "no" for noun in nouns for child in noun.children)
        inside = [token for noun in nouns for token in noun.subtree if token.dep_ == "prep" and token.lower_ == "in"]
        what = list_subtrees(child for head in inside[:1] for child in head.children)
    else:
        negated = clause.verb.lemma_ in ("differ", "vary") and clause.is_negated
        what = set(clause.subject_tokens)
    pairs = [head for head in clause.predicate if head.dep_ == "prep" and head.lower_ in ("between", "among", "from")]
    if not negated or len(pairs) != 1 or len(clause.verbs) > 1 or clause.is_compound:
        return
    pair = list_phrase(pairs[0])
    if pairs[0].lower_ != "from" and not any(token.lower_ == "and" for token in pair):
        return
    what = sorted(what - set(pair), key=lambda token: token.i)
    helper = (clause.finite or clause.verb).lower_
    many = what[-1:] and what[-1].tag_ in ("NNS", "NNPS")
    did = helper if helper in ("do", "does", "did") else "did" if clause.is_past else "do" if many else "does"
    if what and pairs[0].lower_ == "from":
        behind = [token for token in clause.predicate if token.i > pair[-1].i]
        yield ask_about(clause, f"how {did}", [what, "compare with", pair[1:], behind])
    elif what:
        yield ask_about(clause, f"how {did}", [what, "compare", pair])


def ask_difference(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: X differs from Y "in", "by" or "in that" something.

    Example: "Oak differs from pine in its density." Not: "Oak and pine differ widely.", which says not how.
    """
    heads = [head for head in clause.find("prep", "advcl") if head.lower_ in ("in", "by") or head.dep_ == "advcl"]
    whom = [head for head in clause.find("prep") if head.lower_ == "from"]
    heads += [head for other in whom for head in other.subtree if head.dep_ == "prep" and head.lower_ in ("in", "by")]
    if clause.verb.lemma_ == "differ" and heads and (whom or _is_plural(clause.subject)) and not clause.is_negated:
        adverbs = [head for head in clause.find("advmod") if head.right_edge == head]
        yield ask_inverted(clause, "how", list_subtrees(heads) | set(adverbs))


def _is_plural(subject: "Token") -> bool:
    return any(child.dep_ == "conj" for child in subject.children)


def ask_correlation(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: X is related, correlated or linked with Y. With an adverb that says how, that is asked for; without
    one, Y is.

    Example: "Height was inversely related to age." Not: "Related work was read."
    """
    heads = [head for head in clause.find("prep") if head.lower_ in ("with", "to") and head.head.lemma_ in _TIED]
    if clause.verb.lemma_ not in _TIED or len(heads) != 1 or len(clause.verbs) > 1 or clause.is_negated:
        return
    signs = [head for head in clause.find("advmod") if head.lower_ in _SIGNS and head.lower_ != "significantly"]
    adverbs = [head for head in clause.find("advmod") if head.right_edge == head and head.lower_.endswith("ly")]
    if signs:
        yield ask_inverted(clause, "how", set(adverbs))
    else:
        behind = {token for token in clause.predicate if token.i > heads[0].right_edge.i}
        nouns = [child for child in heads[0].children if child.dep_ in ("pobj", "pcomp")]
        yield ask_inverted(clause, "what", list_subtrees(nouns) | behind | set(adverbs)) if nouns else None
