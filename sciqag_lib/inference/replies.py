"""What a reply holds besides its reasoning and its labels."""

import re

from sciqag_lib.inference import labels

REASONING_TAG = re.compile(
    r"(?P<open><(?:think|thinking|reasoning|thought)>|\[THINK\]|<\|begin_of_thought\|>)"
    r"|</(?:think|thinking|reasoning|thought)>|\[/THINK\]|<\|end_of_thought\|>",
    re.IGNORECASE,
)
END_OF_TURN = re.compile(r"<\|(?:im_end|eot_id|endoftext|return|end|end_of_text)\|>|</s>|<end_of_turn>")


def replace_surrogates(text: str) -> str:
    """The text without half surrogate pairs, which some servers' JSON holds and no UTF-8 file can store."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def strip_reasoning(text: str) -> tuple[str, list[str]]:
    """The text without its reasoning, and ["only_reasoning"] where a block never ends or nothing follows it."""
    body = text.replace("\r\n", "\n").replace("\r", "\n")
    body, closed = _strip_channels(body)
    pieces, position, inside = [], 0, False
    for tag in REASONING_TAG.finditer(body):
        if tag["open"]:
            if not inside:
                pieces.append(body[position : tag.start()])
            inside = True
            continue
        if not inside:  # the chat template wrote the opening tag: all text so far was reasoning
            pieces.clear()
        position, inside = tag.end(), False
    if not inside:
        pieces.append(body[position:])
    kept = "\n".join(pieces).strip()
    end = END_OF_TURN.search(kept, 1)
    kept = kept[: end.start()].strip() if end else kept
    lost = text.strip() != "" and (inside or not closed or not kept)
    return kept, ["only_reasoning"] if lost else []


def _strip_channels(text: str) -> tuple[str, bool]:
    """The last `final` channel of a harmony reply, and whether there is one; other text as it is."""
    if "<|channel|>" in text:
        _, final, rest = text.rpartition("<|channel|>final")
        _, message, body = rest.partition("<|message|>")
        return body if final and message else "", bool(final)
    if text.startswith("analysis") and "assistantfinal" in text:  # the same, special tokens removed by the server
        return text.rpartition("assistantfinal")[2], True
    return text, True


LABEL = re.compile(
    rf"(?:\*\*)?(?:[AaＡ]|(?P<bracket>[【〔［])?{labels.ANSWER}(?(bracket)[】〕］]))\s*(?:\*\*)?(?:[:：]|(?(bracket)|(?!)))"
    r"\s*(?:\*\*)?\s*"
)


def read_answer(text: str) -> str:
    """The answer in a reply: without reasoning, and without an "Answer:" before it in any language. It may be empty."""
    answer = strip_reasoning(text)[0].strip()
    label = LABEL.match(answer)
    return (answer[label.end() :] if label else answer).strip()
