"""Forms of English verbs, by lemminflect (MIT).

inflect("bind", "VBD") -> "bound"    agree("were") -> "was"    agree("prevent", "VBP") -> "prevents"
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sciqag_lib.errors import InputError

if TYPE_CHECKING:
    from spacy.tokens import Token

_SINGULAR = {"are": "is", "were": "was", "have": "has", "do": "does", "'re": "is", "'ve": "has"}
_HOOKS = ("lemma", "inflect")  # what lemminflect adds to every token of spaCy, and nothing here uses


@lru_cache(maxsize=1)
def _load_inflector() -> Any:
    """The package, without its hooks in spaCy: importing it would leave them behind for the whole process."""
    try:
        from spacy.tokens import Token

        before = {name: Token.get_extension(name) for name in _HOOKS if Token.has_extension(name)}
        for name in before:
            Token.remove_extension(name)
        import lemminflect
    except ImportError as error:
        raise InputError("the question writer needs lemminflect; pip install lemminflect==0.2.3") from error
    for name in _HOOKS:
        if Token.has_extension(name):
            Token.remove_extension(name)
        if name in before:
            default, method, getter, setter = before[name]
            Token.set_extension(name, default=default, method=method, getter=getter, setter=setter)
    return lemminflect


@lru_cache(maxsize=4096)
def inflect(lemma: str, tag: str) -> str:
    """The form of a verb: VB, VBZ, VBD, VBN or VBG. An unknown verb is inflected by rule."""
    forms = _load_inflector().getInflection(lemma, tag)
    return forms[0] if forms else lemma


@lru_cache(maxsize=4096)
def is_verb(lemma: str) -> bool:
    """Whether the dictionary has the verb: the parser takes a plural now and then for one ("expectancies")."""
    return bool(_load_inflector().getAllInflections(lemma, upos="VERB"))


def agree(verb: "Token") -> str:
    """The verb as it follows "what": third person singular; a past form or a modal stays as it is."""
    word = verb.lower_
    if word in _SINGULAR:
        return _SINGULAR[word]
    return inflect(verb.lemma_, "VBZ") if verb.tag_ == "VBP" and verb.lemma_ != "be" else word


def choose_do(verb: "Token") -> str:
    """The form of "do" that takes over a finite verb's tense and number."""
    return {"VBD": "did", "VBZ": "does"}.get(verb.tag_, "do")


def base_form(verb: "Token") -> str:
    """The verb as it follows "do"."""
    return inflect(verb.lemma_, "VB") if verb.tag_ in ("VBD", "VBZ") else verb.lower_
