"""An example to tokens: the prompt as inference shows it to the model, then the answer, within max_length.

A prompt is a form file (llama2, alpaca) or the tokenizer's chat template filled in, and is tokenized as inference does
it, alone. The answer is tokenized apart and ends with the end-of-sequence token, so no token straddles the two, and
what is learned begins exactly where the model starts to write. Where both are longer than max_length the paper is
cut, never the instruction, a query after the paper, or the answer:

    tokens   <s>[INST] <<SYS>> ... The paper: ... [/INST] | Keywords: ... Q10: ... A10: ... </s>
    labels   -100 ...................................... | the same tokens
"""

import copy
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sciqag_lib.engines.common import render_chat
from sciqag_lib.errors import InputError
from sciqag_lib.inference.prompts import fill, load_form, plain_text
from sciqag_lib.training.data import Example

VERSION = 2  # of everything in this module and data.py that moves a token
MAX_ENDING = 4000  # characters; what is shared beyond it is a paper used twice, no query
LAST_PARAGRAPH = 2000  # characters; a shorter last paragraph may be the query, so it is not cut
MAX_WORD = 100  # characters
HEAD_MARGIN = 1.2  # characters looked at, over those that would be as many tokens as wanted
TOO_LONG = "longer than max_length even without its paper"


@dataclass(frozen=True)
class Encoded:
    ids: Sequence[int]  # prompt and answer; [] with a fault
    prompt_length: int
    cut_tokens: int = 0  # by which the prompt was shortened
    fault: str = ""  # why there are no tokens: TOO_LONG, or what the chat template has against the example


class ExampleEncoder:
    """Tokenizes examples; `tokenizer` is a transformers one with a fast backend, `form` a prompt form's name or path
    ("chat": the tokenizer's template), `system` what examples without a system text of their own get. Several threads
    may use one encoder at once; what is done with the tokenizer elsewhere changes nothing here.

    InputError: the tokenizer has no end-of-sequence token or no fast backend, or no chat template for "chat".
    """

    def __init__(self, tokenizer: Any, max_length: int, form: str = "llama2", system: str = "") -> None:
        self.tokenizer, self.max_length, self.system = tokenizer, max_length, system
        self.form = load_form(form)
        if max_length < 2:
            raise InputError(f"model_max_length: expected at least 2 tokens, found {max_length}")
        if tokenizer.eos_token_id is None:
            raise InputError("tokenizer: expected an end-of-sequence token, found none; set its eos_token")
        if not tokenizer.is_fast:
            raise InputError(
                f"tokenizer: expected one with a tokenizer.json (fast), found {type(tokenizer).__name__}; "
                "convert it with transformers and save it beside the model"
            )
        self.end_ids = self._find_end()
        self.endings: tuple[str, ...] = ()

    def fingerprint(self) -> dict[str, Any]:
        """All that decides the tokens, apart from the examples."""
        backend = hashlib.sha256(self._backends[False].to_str().encode("utf-8", "surrogatepass")).hexdigest()
        template = "" if self.form else self.tokenizer.chat_template
        return {
            "version": VERSION,
            "max_length": self.max_length,
            "form": self.form,
            "system": self.system,
            "template": template,
            "backend": backend,
            "special": str(self.tokenizer.special_tokens_map),
        }

    def encode(self, examples: list[Example]) -> list[Encoded]:
        """One Encoded for each example; one that cannot be used has a fault and no tokens."""
        texts: dict[int, str] = {}
        encoded: dict[int, Encoded] = {}
        for number, example in enumerate(examples):
            try:
                texts[number] = self.render(example)
            except InputError as error:
                encoded[number] = Encoded([], 0, fault=str(error))
        prompts = self._encode_prompts(list(texts.values()))
        # An answer's own "</s>" is text: what ends it comes after it.
        answers = self._encode_texts([examples[number].output.strip() for number in texts], split_special=True)
        for number, prompt, answer in zip(texts, prompts, answers):
            encoded[number] = self._join(examples[number], prompt, answer + self.end_ids)
        return [encoded[number] for number in range(len(examples))]

    def _join(self, example: Example, prompt: list[int], answer: list[int]) -> Encoded:
        whole, room = len(prompt), self.max_length - len(answer)
        if whole > room:
            prompt = self._cut_prompt(example, whole, room)
        return Encoded(prompt + answer, len(prompt), whole - len(prompt)) if prompt else Encoded([], 0, fault=TOO_LONG)

    def render(self, example: Example) -> str:
        """The complete prompt; control tokens in a file's texts are spelled so that they stay text."""
        turns = [(self._parts(Example("", user, "")), plain_text(reply)) for user, reply in example.history]
        system, last = plain_text(example.system) or self.system, self._parts(example)
        if not self.form:
            return self._apply_template(system, turns, last)
        text = "".join(
            fill(self.form, {"system": system, **parts}, "prompt form") + reply + self.tokenizer.eos_token
            for parts, reply in turns
        )
        return text + fill(self.form, {"system": system, **last}, "prompt form")

    @staticmethod
    def _parts(example: Example) -> dict[str, str]:
        instruction, text = plain_text(example.instruction), plain_text(example.input)
        # A message is an instruction to a form, which would otherwise show an empty one above it.
        return {"instruction": instruction or text, "input": text if instruction else ""}

    def _apply_template(self, system: str, turns: list[tuple[dict[str, str], str]], last: dict[str, str]) -> str:
        messages = [{"role": "system", "content": system}] if system else []
        for parts, reply in [*turns, (last, "")]:
            messages.append({"role": "user", "content": "\n".join(filter(None, parts.values()))})
            messages.append({"role": "assistant", "content": reply})
        return self._write_chat(messages[:-1], add_generation_prompt=True)

    def _write_chat(self, messages: list[dict[str, str]], **options: Any) -> str:
        try:
            return render_chat(self.tokenizer, messages, **options)
        except Exception as error:  # a template raises what it likes
            raise InputError(
                f"the tokenizer's chat template refuses the messages: {error}; choose a prompt form "
                "(llama2, alpaca or a file)"
            ) from error

    def _find_end(self) -> list[int]:
        """What follows an answer: the end-of-sequence token, after the template's own end of turn where it has one."""
        eos = self.tokenizer.eos_token
        if self.form:
            return [self.tokenizer.eos_token_id]
        if not self.tokenizer.chat_template:
            raise InputError(
                "tokenizer: expected a chat template for the prompt form chat, found none; choose a "
                "prompt form instead (llama2, alpaca or a file)"
            )
        chat = self._write_chat([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "ANSWER"}])
        end = chat.rpartition("ANSWER")[2].partition(eos)[0].rstrip() + eos
        return self._encode_texts([end])[0]

    @cached_property
    def _backends(self) -> dict[bool, Any]:
        """The tokenizer's library by `split_special`, in copies of our own: each is a setting that every call of
        transformers makes anew, and a thread must not change it under another."""
        backends = {}
        for split_special in (False, True):
            backends[split_special] = copy.deepcopy(self.tokenizer.backend_tokenizer)
            backends[split_special].no_truncation()
            backends[split_special].no_padding()
            backends[split_special].encode_special_tokens = split_special
        return backends

    def _encode_texts(self, texts: list[str], special: bool = False, split_special: bool = False) -> list[list[int]]:
        """Tokens of each text; `special` adds the tokenizer's own, `split_special` takes those in a text for text."""
        # What tokenizer(texts) does, less the offsets and masks, which took a quarter of its time.
        found = self._backends[split_special].encode_batch_fast(texts, add_special_tokens=special)
        return [encoding.ids for encoding in found]

    def _encode_prompts(self, texts: list[str]) -> list[list[int]]:
        bos, eos, eos_id = self.tokenizer.bos_token, self.tokenizer.eos_token, self.tokenizer.eos_token_id
        has_bos = [bool(bos) and text.startswith(bos) for text in texts]  # a template wrote it: never twice
        rows: list[list[int]] = [[] for _ in texts]
        for special in {not has for has in has_bos}:
            chosen = [number for number, has in enumerate(has_bos) if has != special]
            found = self._encode_texts([texts[number] for number in chosen], special)
            for number, ids in zip(chosen, found):
                ends = ids[-1:] == [eos_id] and not texts[number].endswith(eos)
                rows[number] = ids[:-1] if ends else ids  # some tokenizers close every text: the answer is to come
        return rows

    def _cut_prompt(self, example: Example, whole: int, room: int) -> list[int]:
        """The prompt's tokens, within `room`, with its longest text shortened; [] where that is impossible."""
        texts = [*(user for user, _ in example.history), example.input]
        place = max(range(len(texts)), key=lambda number: len(texts[number]))
        body, ending = split_input(plain_text(texts[place]), self.endings)
        [frame] = self._encode_prompts([self.render(_replace_text(example, place, ending))])
        kept = room - len(frame)
        head = self._encode_head(body, kept, whole - len(frame))
        kept = min(kept, len(head))
        while kept > 0:
            text = _round_cut(body, head.token_to_chars(kept - 1)[1]) + ending
            [prompt] = self._encode_prompts([self.render(_replace_text(example, place, text))])
            if len(prompt) <= room:
                return prompt
            kept -= len(prompt) - room  # a shorter text can have one token more, where the cut broke up a merge
        return []

    def _encode_head(self, text: str, count: int, whole: int) -> Any:
        """The first `count` or more tokens of a text of about `whole`, with their places in it."""
        # A long book's end is not tokenized a second time only to be cut.
        size = HEAD_MARGIN * len(text) * max(0, count) // max(1, whole)
        for part in (text[: int(size)], text):
            [head] = self._backends[False].encode_batch([part], add_special_tokens=False)
            if len(head) >= count:
                break
        return head


def _replace_text(example: Example, place: int, text: str) -> Example:
    if place == len(example.history):
        return replace(example, input=text)
    history = list(example.history)
    history[place] = (text, history[place][1])
    return replace(example, history=tuple(history))


def _round_cut(text: str, at: int) -> str:
    """The text up to the last whole word before `at`; not every language has spaces."""
    space = text.rfind(" ", max(0, at - MAX_WORD), at + 1)
    return text[:space] if space > 0 else text[:at]


def split_input(text: str, endings: Iterable[str] = ()) -> tuple[str, str]:
    r"""What may be cut of an input, and the query after it: one of `endings`, else a short last paragraph.

    >>> split_input("A long paper.\nIts end.\n\nWhich alloy was used?")
    ('A long paper.\nIts end.', '\n\nWhich alloy was used?')
    """
    for ending in endings:
        if text.endswith(ending) and len(text) > len(ending):
            return text.removesuffix(ending), ending
    for mark in ("\n\n", "\n"):
        at = text.rfind(mark, 0, len(text.rstrip()))
        if at > 0 and len(text) - at <= LAST_PARAGRAPH:
            return text[:at], text[at:]
    return text, ""


def find_endings(inputs: Iterable[str]) -> tuple[str, ...]:
    """Whole lines with which three or more different inputs end: the queries after the papers, the longest first."""
    # Sorted from behind, those with the same ending are neighbours.
    tails = sorted({text[-MAX_ENDING:][::-1] for text in inputs})
    counts: dict[str, int] = {}
    for one, other in zip(tails, tails[1:]):
        shared = os.path.commonprefix([one, other])[::-1]
        at = shared.find("\n")
        if at >= 0 and shared[at:].strip() and len(shared) < min(MAX_ENDING, len(one), len(other)):
            counts[shared[at:]] = counts.get(shared[at:], 0) + 1
    return tuple(sorted((ending for ending, count in counts.items() if count > 1), key=len, reverse=True))
