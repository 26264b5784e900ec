r"""Training examples: read from the files people have, and made from a processed inference output.

Read, as a JSON list or JSON Lines, each record by its own keys:

    {"instruction": "Read the paper ...", "input": "The paper: ...", "output": "Keywords: ...\n\nQ1: ..."}
    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
    {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}
    {"content": "a question", "summary": "its answer"}

The first is SciQAG's published form (arXiv 2405.09939) and the one that is written; the second is SciRIFF's, the
last SciInstruct's, whose two names are arguments. A conversation gives one example per reply, with all that came
before as its prompt: every reply is learnt once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.generation.training_records import fill_paper_record
from sciqag_lib.inference.prompts import load_prompt
from sciqag_lib.paths import write_atomic
from sciqag_lib.records.papers import find_text_problem, read_records
from sciqag_lib.records.qa_records import read_qa_records
from sciqag_lib.tables import JsonList

ROLES = {"system": "system", "developer": "system", "user": "user", "human": "user", "prompter": "user",
         "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant",
         "model": "assistant"}  # fmt: skip
SHAPES = {"messages": ("role", "content"), "conversations": ("from", "value")}


@dataclass(frozen=True)
class Example:
    instruction: str  # "" for a conversation and for two columns, whose text is all `input`
    input: str  # the paper, the question or the user's message: what is cut where an example is too long
    output: str
    system: str = ""  # "" where the record has none
    history: tuple[tuple[str, str], ...] = ()  # earlier exchanges of a conversation: user, assistant
    where: str = ""  # "record 17" or "line 3"


@dataclass
class MadeData:
    """What became of a processed inference output."""

    written: int = 0  # training records
    bad_records: list[BadRecord] = field(default_factory=list)


def read_examples(
    path: str | Path, prompt_column: str = "content", response_column: str = "summary"
) -> Iterator[Example | BadRecord]:
    """The examples of a file, streamed; a record that cannot be used is a BadRecord and the next goes on.

    A record with `prompt_column` is read by the two columns, any other by the keys it has. InputError: the file
    cannot be opened, or holds no records.
    """
    for where, record in read_records(path):
        if isinstance(record, BadRecord):
            yield record
        elif prompt_column in record:
            yield _read_fields(record, str(path), where, "", prompt_column, response_column)
        elif any(key in record for key in SHAPES):
            yield from _read_conversation(record, str(path), where)
        elif "instruction" in record or "output" in record:
            yield _read_fields(record, str(path), where, "instruction", "input", "output")
        else:
            found = ", ".join(map(repr, record)) or "no key"
            message = (
                f"expected instruction, input and output, or messages, or {prompt_column} and {response_column}, "
                f"found only {found:.200}; correct the record or name the columns (prompt_column, response_column)"
            )
            yield BadRecord(str(path), where, "", message)


def _read_fields(
    record: dict[str, Any], file: str, where: str, instruction: str, text: str, answer: str
) -> Example | BadRecord:
    """`instruction` is "" for the form of two columns; beside an instruction, `text` may be empty."""
    required = {instruction or text, answer}
    for key in filter(None, (instruction, text, answer)):
        fault = find_text_problem(record.get(key), key in required)
        if fault:
            return BadRecord(file, where, key, fault)
    return Example(record[instruction] if instruction else "", record.get(text) or "", record[answer], where=where)


def _read_conversation(record: dict[str, Any], file: str, where: str) -> Iterator[Example | BadRecord]:
    """One example for each reply. A conversation that is out of order gives none; one that ends with a message
    nobody replied to gives its replies and a BadRecord for that message."""
    key = next(key for key in SHAPES if key in record)
    turns = _read_turns(record[key], *SHAPES[key])
    if isinstance(turns, str):
        yield BadRecord(file, where, key, turns)
        return
    system = turns.pop(0)[1] if turns and turns[0][0] == "system" else ""
    history: list[tuple[str, str]] = []
    for (_, question), (_, answer) in zip(turns[::2], turns[1::2]):
        yield Example("", question, answer, system, tuple(history), where)
        history.append((question, answer))
    if len(turns) % 2:
        yield BadRecord(file, where, key, "its last message is the user's and has no reply; that message is left out")


def _read_turns(messages: Any, role_key: str, text_key: str) -> list[tuple[str, str]] | str:
    """(role, text) of each message, or what is wrong with them."""
    if not isinstance(messages, list) or not messages:
        return f'expected a list of {{"{role_key}", "{text_key}"}}, found {messages!r:.60}'
    turns: list[tuple[str, str]] = []
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict):
            return f"message {number}: expected an object, found {type(message).__name__} {message!r:.60}"
        # Both spellings occur under both keys.
        name = message.get(role_key, message.get("role", message.get("from")))
        role = ROLES.get(name) if isinstance(name, str) else None
        text = _join_parts(message.get(text_key, message.get("content", message.get("value"))))
        fault = find_text_problem(text, role != "system")
        if fault:
            return f"message {number}: its text: {fault}"
        expected = ("system", "user") if not turns else ("user",) if turns[-1][0] != "user" else ("assistant",)
        if role not in expected:
            return (
                f"message {number}: expected the role {' or '.join(expected)}, found {name!r}; "
                "the user's messages and the replies must take turns"
            )
        turns.append((role, text or ""))
    return turns


def _join_parts(content: Any) -> Any:
    """The text of a message given in parts, [{"type": "text", "text": "..."}]; anything else as it is."""
    if isinstance(content, list) and all(
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in content
    ):
        return "".join(part["text"] for part in content)
    return content


# The other way: a processed inference output (of 02_inference, or published) becomes a training file.


def make_generator_data(processed_output: str | Path, output_path: str | Path, prompt: str = "whole_paper") -> MadeData:
    """Write {"instruction", "input", "output"} for each paper: `prompt` with the paper in it, and the published text
    of its keywords and pairs. A model trained on it sees at inference, with the same prompt and form, what it saw
    in training. Papers without text or pairs become BadRecords. InputError as read_examples, or where none is left.
    """
    template, made = load_prompt(prompt), MadeData()
    with write_atomic(output_path) as file:
        writer = JsonList(file)
        for paper in read_qa_records(processed_output):
            if isinstance(paper, BadRecord):
                made.bad_records.append(paper)
                continue
            missing = "txt" if not paper.txt.strip() else "" if paper.pairs else "Q&A"
            if missing:
                message = "it is missing or empty: nothing to learn from"
                made.bad_records.append(BadRecord(str(processed_output), paper.where, missing, message))
                continue
            writer.add(fill_paper_record(template, paper))
            made.written += 1
        writer.end()
        if not made.written:
            first = f"; the first fault: {made.bad_records[0]}" if made.bad_records else ""
            raise InputError(
                f"{processed_output}: expected papers with question-answer pairs, found none to train on{first}"
            )
    return made
