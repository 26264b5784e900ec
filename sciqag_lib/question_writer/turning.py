"""The two ways to turn a clause round, and how words that were taken apart are written together again.

"In mice, zinc prevents rust."  "in mice, what prevents rust" (ask_subject), "how does zinc ..." (ask_inverted)
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sciqag_lib.question_writer.clauses import FINITE, Clause, list_phrase
from sciqag_lib.question_writer.verbs import agree, base_form, choose_do, is_verb

if TYPE_CHECKING:
    from spacy.tokens import Token

MAX_FRONT_WORDS = 14


def join_words(parts: Iterable[tuple[str, str]]) -> str:
    """(word, the white space after it) as one text, without marks that what was left out leaves behind."""
    text = "".join(word + (space or "") for word, space in parts)
    text = " ".join(text.split())
    text = re.sub(r"\s+([,;:.)\]%])", r"\1", text)
    text = re.sub(r",(?:\s*,)+", ",", text)
    return text.strip(" ,;:.–—-")


def write_tokens(tokens: Iterable["Token"]) -> str:
    """The tokens as text, the sentence's first word without its capital."""
    return join_words(_pair_words(tokens))


def _pair_words(tokens: Iterable["Token"], change: dict["Token", str] | None = None) -> Iterator[tuple[str, str]]:
    """Where a token was left out, the words around it do not run together."""
    previous = None
    for token in tokens:
        if previous is not None and token.i != previous + 1:
            yield "", " "
        yield (change or {}).get(token, lower_start(token)), token.whitespace_
        previous = token.i


def lower_start(token: "Token") -> str:
    """The word, in lower case where only the sentence's start gave it its capital: by what the writer found of the
    paper's spelling elsewhere, else by its word class."""
    text = token.text
    if token.i or not (text[:1].isupper() and (text[1:].islower() or len(text) == 1)):
        return text
    is_name = token.doc.user_data.get("opens_with_name", token.tag_ in ("NNP", "NNPS"))
    return text if is_name else text.lower()


@dataclass
class Draft:
    """A question without its capital and its mark."""

    front: str  # "in mice", or ""
    body: str  # "how does zinc prevent rust"
    tokens: list["Token"]  # of the sentence, as far as they are in it
    rule: str = ""


def ask_subject(clause: Clause, opening: str, drop: Collection["Token"] = ()) -> Draft | None:
    """The predicate after `opening`, its verbs in the singular: "what prevents rust". None where something of the
    subject is left between them."""
    tokens = [token for token in clause.predicate if token not in drop]
    if not tokens or tokens[0].pos_ not in ("VERB", "AUX", "ADV"):
        return None
    finite = [clause.finite or clause.verb, *(verb for verb in clause.verbs[1:] if verb.tag_ in FINITE)]
    finite += [child for verb in clause.verbs[1:] for child in verb.children if child.dep_ in ("aux", "auxpass")]
    return _finish(clause, drop, opening, tokens, {token: agree(token) for token in finite})


def ask_inverted(
    clause: Clause, opening: str, drop: Collection["Token"] = (), replace: dict["Token", str] | None = None
) -> Draft | None:
    """The clause after `opening`, its verb before its subject: "how does zinc prevent rust". None where verbs of
    different forms share the subject: one auxiliary cannot be moved for both. `replace` has other words for some."""
    others = clause.verbs[1:]
    if any(child.dep_ in ("aux", "auxpass") for verb in others for child in verb.children):
        return None
    if clause.finite is None:
        if not is_verb(clause.verb.lemma_) or any(verb.tag_ != clause.verb.tag_ for verb in others):
            return None
        helper, change = choose_do(clause.verb), {verb: base_form(verb) for verb in clause.verbs}
    else:
        if any(verb.tag_ in ("VBZ", "VBP") or clause.verb == clause.finite for verb in others):
            return None
        helper, change = clause.finite.lower_, {}
    tokens = [token for token in clause.predicate if token not in drop and token != clause.finite]
    subject = clause.subject_tokens
    change |= replace or {}
    draft = _finish(clause, drop, f"{opening} {helper} {write_tokens(subject)}", tokens, change)
    return draft and Draft(draft.front, draft.body, [*subject, *draft.tokens])


def ask_about(clause: Clause, opening: str, phrases: Iterable[Collection["Token"] | str], drop=()) -> Draft | None:
    """A question put together of phrases of the sentence and little words: "how did", subject, "compare"."""
    parts = [part if isinstance(part, str) else write_tokens(part) for part in phrases]
    tokens = [token for part in phrases if not isinstance(part, str) for token in part]
    draft = _finish(clause, drop, " ".join([opening, *(part for part in parts if part)]), [], {})
    return draft and Draft(draft.front, draft.body, [*tokens, *draft.tokens])


def _finish(
    clause: Clause, drop: Collection["Token"], opening: str, tokens: list["Token"], change: dict["Token", str]
) -> Draft | None:
    """None where what comes before the subject is too long to open a question."""
    heads = [head for head in clause.fronted if head not in drop]
    phrases = [list_phrase(head) for head in heads]
    front = ", ".join(write_tokens(phrase) for phrase in phrases)
    if len(front.split()) > MAX_FRONT_WORDS or any(len(phrase) < 2 and phrase[0].dep_ == "prep" for phrase in phrases):
        return None
    body = f"{opening} {join_words(_pair_words(tokens, change))}".strip()
    return Draft(front, body, [*tokens, *(token for phrase in phrases for token in phrase)])
