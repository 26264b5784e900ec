"""Rules that ask for what does something, and for what it does.

cause        "Frost delays flowering."            -> "What delays flowering?"
agent        "Flowering is delayed by frost."     -> "What delays flowering?"
effect       "Frost delays flowering."            -> "How does frost affect flowering?"
object       "The valve requires calcium."        -> "What does the valve require?"
consequence  "Overgrazing leads to erosion."      -> "What does overgrazing lead to?"
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sciqag_lib.question_writer.clauses import Clause, list_subtrees
from sciqag_lib.question_writer.turning import Draft, ask_about, ask_inverted, ask_subject
from sciqag_lib.question_writer.verbs import inflect

if TYPE_CHECKING:
    from spacy.tokens import Token

# They say in which direction something is changed: "affect" asks for it.
CHANGING = frozenset(
    "abolish abrogate accelerate activate alleviate ameliorate amplify attenuate block boost decrease delay diminish "
    "disrupt downregulate enhance facilitate halt hinder impair improve increase inhibit lower prevent prolong "
    "promote protect raise reduce repress restore retard shorten slow stabilize stimulate strengthen suppress "
    "upregulate weaken worsen exacerbate destabilize impede".split()
)
CAUSING = CHANGING | frozenset(
    "allow cause catalyze confer control determine drive enable encode explain generate govern induce initiate limit "
    "mediate modulate produce regulate trigger underlie elicit influence affect shape maintain ensure degrade predict "
    "phosphorylate transport recognize carry secrete".split()
)
TAKING = frozenset(
    "require bind encode express recognize phosphorylate produce secrete trigger cause induce comprise contain target "
    "control determine regulate mediate represent constitute form release store detect synthesize need predict carry "
    "lack resemble transport generate exhibit display involve include activate inhibit affect support influence "
    "confer enable allow indicate reflect".split()
)
LEADING = {"lead": ("to",), "result": ("in",), "contribute": ("to",), "depend": ("on", "upon"), "rely": ("on", "upon"),
           "respond": ("to",), "bind": ("to",), "interact": ("with",), "consist": ("of",), "belong": ("to",),
           "feed": ("on",), "act": ("on",), "translate": ("into",), "differentiate": ("into",), "develop": ("into",),
           "convert": ("into",), "localize": ("to",)}  # fmt: skip
_LIGHT = frozenset(
    "have make take play do use perform show give get be become provide suggest indicate offer occupy follow pose face "
    "undergo gain pay raise receive complete reach exceed range average number mean conduct employ adopt".split()
)
_LIMITING = frozenset("not only mainly largely primarily both partly solely mostly essentially either".split())
# "What" does not ask for them.
PEOPLE = frozenset(
    "adult agency author child clinician company country doctor government individual inspector institution man nurse "
    "organization parent participant patient people person physician provider researcher state student subject user "
    "woman worker society community group".split()
)
# Subjects that no question asks for: what shows something in a paper, not what does it.
EMPTY = frozenset(
    "result finding analysis study model approach method fact data experiment we it they this that these those which "
    "observation author researcher figure table effect factor one each some all both many most other another evidence "
    "line work paper review test idea scientist investigator team group investigation difference comparison "
    "implication variety mechanism condition question reason way two type kind consequence use".split()
)


def ask_cause_of(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: subject, verb of CAUSING or LEADING, object.

    Example: "Frost delays flowering." Not: "The results explain the gap.", "It delays flowering.", and verbs that
    cause nothing ("Trees have roots").
    """
    leads = clause.core.lemma_ in ("lead", "result") and any(
        head.lower_ in ("to", "in") for head in clause.find("prep")
    )
    acts = clause.core.lemma_ in CAUSING and bool(find_objects(clause))
    active = clause.subject.dep_ == "nsubj" or clause.core != clause.verb
    subject = clause.subject
    if (
        (acts or leads)
        and active
        and names_something(subject)
        and subject.lemma_ not in PEOPLE
        and not clause.is_negated
    ):
        yield ask_subject(clause, "what")


def ask_agent(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: subject, passive of a verb of CAUSING, "by" and a noun.

    Example: "Flowering is delayed by frost." Not: "Growth was determined by weighing." and "by 10%".
    """
    agents = [head for head in clause.verb.children if head.dep_ == "agent" and head.lower_ == "by"]
    if clause.verb.lemma_ == "determine" and clause.is_past:
        return  # "was determined by weighing"
    if len(agents) != 1 or clause.subject.dep_ != "nsubjpass" or len(clause.verbs) > 1 or clause.is_negated:
        return
    nouns = [child for child in agents[0].children if child.dep_ == "pobj"]
    if agents[0].nbor(1).tag_ == "VBG":
        return  # "by varying the order": a way
    if (
        clause.verb.lemma_ not in CAUSING
        or not nouns
        or not names_something(nouns[0])
        or nouns[0].lemma_ in PEOPLE
        or has_number(nouns[0])
    ):
        return
    verb = _make_active(clause)
    drop = list_subtrees(agents) | set(_list_helpers(clause)) | {clause.verb}
    if verb:
        before = [token for token in clause.predicate if token.i < clause.verb.i and token not in drop]
        after = [token for token in clause.predicate if token.i > clause.verb.i and token not in drop]
        yield ask_about(clause, "what", [before, verb, clause.subject_tokens, after])


def ask_effect(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: subject, verb of CHANGING, object: how the one affects the other.

    Example: "Frost did not delay flowering." Not: "Frost delays flowering and kills buds.", of which "affect" would
    ask for half, and "The team reduced its costs."
    """
    objects = find_objects(clause)
    if clause.core.lemma_ not in CHANGING or len(clause.verbs) > 1 or len(objects) != 1:
        return
    if clause.subject.dep_ == "expl" or not names_something(clause.subject):
        return
    if any(head.lower_ == "from" and not has_number(head) for head in clause.find("prep")):
        return  # "protects buds from frost"
    measures = [head for head in clause.find("prep", "npadvmod") if head.lower_ in ("by", "from") or has_number(head)]
    manner = [head for head in clause.find("advmod", "neg") if head.i < objects[0].i or head.right_edge == head]
    affect = {"VBN": "affected", "VBG": "affecting"}.get(clause.core.tag_, "affect")
    drop = list_subtrees([*measures, *manner])
    yield ask_inverted(clause, "how", drop, {clause.core: affect})


def ask_object(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: subject, verb of TAKING, object: the object is asked for.

    Example: "The valve requires calcium." Not: "The valve requires that ...", "The study represents a step.", and
    two verbs with an object each.
    """
    objects = find_objects(clause)
    if clause.core.lemma_ not in TAKING or len(clause.verbs) > 1 or len(objects) != 1 or clause.is_compound:
        return
    if names_something(clause.subject) and objects[0].lemma_ not in EMPTY and not clause.is_negated:
        compared = any(token.lower_ == "than" or token.tag_ in ("JJR", "RBR") for token in clause.predicate)
        behind = [token for token in clause.predicate if token.i > objects[0].right_edge.i and token.text == ","]
        if (
            not compared
            and not behind
            and (clause.core.lemma_ != "represent" or objects[0].i - objects[0].left_edge.i > 1)
        ):
            yield ask_inverted(clause, "what", list_subtrees(objects))


def ask_any_object(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: as ask_object, of any other verb that says something; the object must have two words of content.

    Example: "Old maps record the course of lost rivers." Not: "Oak has deep roots." and "Frost plays a role."
    """
    objects = find_objects(clause)
    lemma = clause.core.lemma_
    if lemma in TAKING or lemma in CHANGING or lemma in _LIGHT or len(objects) != 1 or len(clause.verbs) > 1:
        return
    content = [token for token in objects[0].subtree if token.pos_ in ("NOUN", "PROPN", "ADJ")]
    compared = any(token.lower_ == "than" or token.tag_ in ("JJR", "RBR") for token in clause.predicate)
    behind = [token for token in clause.predicate if token.i > objects[0].right_edge.i and token.text == ","]
    told = names_something(clause.subject) and objects[0].lemma_ not in EMPTY and len(content) > 1
    if told and not compared and not behind and not clause.is_negated and not clause.find("ccomp"):
        yield ask_inverted(clause, "what", list_subtrees(objects))


def ask_consequence(clause: Clause) -> Iterator[Draft | None]:
    """Pattern: subject, verb and preposition of LEADING, noun: the noun is asked for.

    Example: "Overgrazing leads to erosion." Not: "The road leads north." and "It led to erosion."
    """
    heads = [head for head in clause.find("prep") if head.lower_ in LEADING.get(clause.core.lemma_, ())]
    nouns = [child for head in heads[:1] for child in head.children if child.dep_ in ("pobj", "pcomp")]
    if nouns and names_something(clause.subject) and len(clause.verbs) == 1 and not clause.is_negated:
        drop = list_subtrees(nouns) | {token for token in clause.predicate if token.i > nouns[0].right_edge.i}
        drop |= {token for token in clause.predicate if token.lower_ in _LIMITING and token.i > clause.core.i}
        yield ask_inverted(clause, "what", drop)


# Parts of a clause ---------------------------------------------------------------------------------------------------


def find_objects(clause: Clause) -> list["Token"]:
    """The direct objects of the verb that says what happens, pronouns left out."""
    return [head for head in clause.find("dobj") if head.head == clause.core and head.pos_ != "PRON"]


def names_something(noun: "Token") -> bool:
    """Whether a noun says what could be asked for: no pronoun, no "results", no bare number."""
    return noun.pos_ in ("NOUN", "PROPN") and noun.lemma_.lower() not in EMPTY


def has_number(head: "Token") -> bool:
    """Whether a phrase holds a number or a percentage."""
    return any(token.like_num or token.text == "%" for token in head.subtree)


def _list_helpers(clause: Clause) -> list["Token"]:
    return [child for child in clause.verb.children if child.dep_ in ("aux", "auxpass")]


def _make_active(clause: Clause) -> str:
    """ "delays" of "is delayed", "can delay" of "can be delayed"; "" for a form that is not worth it."""
    helpers = [helper.lower_ for helper in _list_helpers(clause)]
    lemma = clause.verb.lemma_
    if len(helpers) == 1 and helpers[0] in ("is", "are", "was", "were"):
        return inflect(lemma, "VBZ" if helpers[0] in ("is", "are") else "VBD")
    if len(helpers) == 2 and helpers[1] == "be" and clause.finite is not None and clause.finite.tag_ == "MD":
        return f"{helpers[0]} {inflect(lemma, 'VB')}"
    if len(helpers) == 2 and helpers[1] == "been" and helpers[0] in ("has", "have"):
        return f"has {inflect(lemma, 'VBN')}"
    return ""
