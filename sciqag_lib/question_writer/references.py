"""Words that point back, and what they point to where that is unmistakable.

before: "We grew oak seedlings in pots."   "The seedlings died."  -> "The oak seedlings died."
before: "Frost damages buds."              "It also kills moss."  -> "Frost also kills moss."
"""

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from sciqag_lib.question_writer.clauses import find_clause
from sciqag_lib.question_writer.turning import lower_start
from sciqag_lib.text.sentences import stem_word

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_ONE, _MANY = frozenset("it its itself".split()), frozenset("they their them themselves".split())
_OPEN = frozenset(
    "this that these those such we our us i my he she his her him former latter here herein above another others "
    "there aforementioned ours you your".split()
)
_OTHERS = frozenset(
    "other same such both two three four previous earlier first second last remaining present current new missing "
    "resulting proposed corresponding observed above-mentioned different various".split()
)
_LIKENING = frozenset("similar additional further analogous comparable".split())  # to what?
_QUANTIFIERS = frozenset("many few several some most".split())
# There is only one of each, or each reader knows which is meant.
_UNIQUE = frozenset(
    "north south east west "
    "brain nucleus cytoplasm cytosol genome body liver lung heart kidney skin blood bloodstream retina cortex spleen "
    "gut intestine bone membrane world environment literature ocean sea sun earth atmosphere air ground soil water "
    "surface past future present majority number presence absence use role ability risk rate time effect age sex "
    "level amount degree extent case end beginning basis context field laboratory clinic public population us uk uk's "
    "immune climate country community media internet web government law market economy disease host cell cells".split()
)
_COMPLEMENTS = ("prep", "relcl", "acl", "appos", "nmod", "amod", "compound", "nummod", "poss", "advmod", "npadvmod")


def find_open(tokens: Iterable["Token"], known: Collection[str]) -> list["Token"]:
    """The words of a question or sentence that point to something it does not name, in order.

    Args:
        tokens: In the order in which they are read.
        known: Stems of the words that the paper's title explains.
    """
    found, nouns = [], []
    for token in tokens:
        word = token.lower_
        if token.dep_ == "amod" and word in _LIKENING and not list(token.children):
            found.append(token)
        elif word in _OPEN and not _is_used_otherwise(token) or word in _ONE | _MANY and not _is_answered(token, nouns):
            found.append(token)
        elif token.pos_ in ("NOUN", "PROPN"):
            if _is_bare(token, known) and all(noun.lemma_ != token.lemma_ for noun in nouns):
                found.append(token)
            nouns.append(token)
    return found


def _is_used_otherwise(token: "Token") -> bool:
    """ "there is", "those of children", "those who"."""
    following = token.nbor(1).lower_ if token.i + 1 < len(token.doc) else ""
    if token.lower_ == "those":
        return following in ("who", "with", "that", "which", "in", "of", "from", "without", "for", "treated", "at")
    if token.lower_ == "that":
        return token.dep_ != "det"
    if token.lower_ == "such":
        return following == "as" or token.i > 0 and token.nbor(-1).text == ","
    return token.lower_ == "there" and token.dep_ == "expl" or token.lower_ == "above" and token.dep_ == "prep"


def _is_answered(pronoun: "Token", nouns: list["Token"]) -> bool:
    """Whether a noun before it, of which it is no part, has its number."""
    others = [noun for noun in nouns if noun not in pronoun.ancestors and noun.dep_ != "compound"]
    if pronoun.lower_ in _ONE:
        return any(noun.tag_ in ("NN", "NNP") for noun in others)
    return any(noun.tag_ in ("NNS", "NNPS") or any(child.dep_ == "conj" for child in noun.children) for noun in others)


def _is_bare(noun: "Token", known: Collection[str]) -> bool:
    """Whether a noun has "the" and nothing that says which: "the mutants", "the two groups"."""
    if noun.dep_ == "compound" or not any(child.lower_ == "the" and child.dep_ == "det" for child in noun.children):
        return False
    if noun.pos_ == "PROPN" or noun.lemma_.lower() in _UNIQUE or stem_word(noun.lower_) in known:
        return False
    telling = [child for child in noun.children if child.dep_ in _COMPLEMENTS and child.lower_ not in _OTHERS]
    telling = [child for child in telling if not (child.dep_ == "nummod" or child.like_num)]
    last = [child for child in noun.subtree if child.dep_ == "conj" and child.pos_ in ("NOUN", "PROPN")][-1:]
    telling += [child for noun in last for child in noun.children if child.dep_ in ("prep", "relcl", "acl")]
    return not telling and noun.tag_ in ("NN", "NNS") and noun.text.isalpha()


# Naming what is pointed to -------------------------------------------------------------------------------------------


def name_references(doc: "Doc", before: "Doc | None", known: Collection[str]) -> str | None:
    """The sentence with "It", "They" and "the mutants" named by the sentence before; None where there is nothing to
    name. Where it has no name for one of them, or two, the word stays as it is."""
    if before is None:
        return None
    changes: dict[int, tuple[int, str]] = {}
    first = doc[0]
    if first.lower_ in ("it", "they") and first.dep_ in ("nsubj", "nsubjpass"):
        name = _name_pronoun(first.lower_, before)
        changes.update({0: (1, name[:1].upper() + name[1:])} if name else {})
    for noun in find_open(doc, known):
        name = _name_noun(noun, before) if noun.pos_ == "NOUN" else ""
        if name:
            article = next(child for child in noun.children if child.lower_ == "the")
            changes[article.i] = (noun.i + 1, f"{article.text} {name}")
    return _apply(doc, changes) if changes else None


def _apply(doc: "Doc", changes: dict[int, tuple[int, str]]) -> str:
    text, place = "", 0
    for start, (end, name) in sorted(changes.items()):
        text += doc[place:start].text_with_ws + name + doc[end - 1].whitespace_ if start >= place else ""
        place = max(place, end)
    return text + doc[place:].text


def _name_pronoun(pronoun: str, before: "Doc") -> str:
    """The subject of the sentence before, if no other noun there has its number."""
    clause = find_clause(before)
    if clause is None or clause.subject.pos_ not in ("NOUN", "PROPN") or find_open(clause.subject_tokens, ()):
        return ""
    many = pronoun == "they"
    rivals = [token for token in before if token.pos_ in ("NOUN", "PROPN") and token.dep_ != "compound"
              and (token.tag_ in ("NNS", "NNPS")) == many and token not in clause.subject.subtree]  # fmt: skip
    fits = (clause.subject.tag_ in ("NNS", "NNPS")) == many
    return "" if rivals or not fits else _write(clause.subject_tokens)


def _name_noun(noun: "Token", before: "Doc") -> str:
    """The one fuller phrase of the sentence before with the same noun: "oak seedlings" of "the seedlings"."""
    names = set()
    for token in before:
        if token.lemma_ == noun.lemma_ and token.tag_ == noun.tag_:
            words = [
                child for child in token.children if child.i < token.i and child.dep_ in ("amod", "compound", "nmod")
            ]
            words = [word for word in words if word.lower_ not in _QUANTIFIERS]
            if not words or any(child.lower_ in _OTHERS for child in words):
                return ""
            names.add(before[words[0].left_edge.i : token.i + 1].text)
    return names.pop() if len(names) == 1 else ""


def _write(tokens: Iterable["Token"]) -> str:
    return re.sub(r"\s+", " ", "".join(lower_start(token) + token.whitespace_ for token in tokens)).strip()
