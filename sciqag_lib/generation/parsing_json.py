r"""JSON replies, whole or broken: question and answer fields wherever they stand.

    {"keywords": ["gene flow"], "Q&A": [{"Q": "How many loci were genotyped?", "A": "Eleven."}, {"Q": "Whe

A JSON parser gives nothing for a text cut short or with one wrong comma. Here the text is cut into tokens once, and
the fields of one object that are named question and answer (q, Q1, question, A1, 问题 ...) belong together.
"""

import json
import re

from sciqag_lib.inference import labels
from sciqag_lib.inference.latex_escapes import escape_latex
from sciqag_lib.inference.replies import replace_surrogates

JSON_START = re.compile(r"\s{0,100}(?:```(?:json)?\s{0,10})?[\[{]", re.IGNORECASE)
_LABEL = rf'"((?i:q|a)|{labels.QUESTION}|{labels.ANSWER})[ _-]?({labels.NUMBER}?)"'
JSON_FIELD = re.compile(rf"{_LABEL}\s{{0,20}}:")
KEYWORDS = re.compile(rf'"(?:(?i:key_words?)|{labels.KEYWORDS})"\s{{0,20}}:\s{{0,20}}')
TOKEN = re.compile(r'"[^"\\]*(?:\\.?[^"\\]*)*(?:"|\Z)|[{}\[\]:,]|[^\s"{}\[\]:,]+', re.DOTALL)
KEY = re.compile(_LABEL)

Fields = dict[str, dict[str, str]]  # by number, "" where there is none: {"question": ..., "answer": ...}


def read_json(text: str) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """Keywords; (question, answer) pairs, one of the two "" where it is missing; and problems: "truncated",
    "bad_json"."""
    text = escape_latex(text)
    pairs: list[tuple[str, str]] = []
    problems: list[str] = []
    first = JSON_FIELD.search(text)
    tokens = TOKEN.findall(text, max(text.rfind("{", 0, first.start()), 0)) if first else []
    fields: Fields = {}
    depth = fields_depth = 0
    for index, token in enumerate(tokens):
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            if fields and depth < fields_depth:
                _close_object(fields, pairs)
        elif token[0] == '"' and tokens[index + 1 : index + 2] == [":"] and (key := KEY.fullmatch(token)):
            value, problem = _read_value(tokens, index + 2)
            problems += [problem] if problem else []
            kind, number = labels.name_label(key[1]), labels.read_number(key[2])
            if kind in fields.get(number, {}):
                _close_object(fields, pairs)
            if value is not None:
                fields.setdefault(number, {})[kind] = value
                fields_depth = depth
    if (depth > 0 or tokens[-1:] == [","]) and "truncated" not in problems:
        problems.append("truncated")
    if "truncated" in problems:  # which explains a question without an answer
        fields = {number: pair for number, pair in fields.items() if len(pair) == 2}
    _close_object(fields, pairs)
    return _read_keywords(text), pairs, problems


def _close_object(fields: Fields, pairs: list[tuple[str, str]]) -> None:
    pairs += [(pair.get("question", "").strip(), pair.get("answer", "").strip()) for pair in fields.values()]
    fields.clear()


def _read_value(tokens: list[str], index: int) -> tuple[str | None, str]:
    """The text that begins at tokens[index], or None, and the problem where it can't be read."""
    if index >= len(tokens):
        return None, "truncated"
    value, is_last = tokens[index], index == len(tokens) - 1
    if value in ("{", "null", "true", "false"):
        return None, ""
    if value == "[":
        end = index + 1
        while end < len(tokens) and (tokens[end][0] == '"' or tokens[end] == ","):
            end += 1
        return " ".join(_decode_string(token) or "" for token in tokens[index + 1 : end] if token != ","), ""
    text = _decode_string(value) if value[0] == '"' else value
    if text is None and is_last:
        return None, "truncated"
    if text is None or not is_last and tokens[index + 1] not in (",", "}", "]", "```") and tokens[index + 1][0] != '"':
        return None, "bad_json"  # most often a quotation mark that is not escaped
    return text, ""


def _decode_string(token: str) -> str | None:
    """The text of a JSON string, or None where it is none."""
    try:
        return replace_surrogates(json.loads(token, strict=False))
    except ValueError:
        return None


def _read_keywords(text: str) -> list[str]:
    match = KEYWORDS.search(text)
    if not match:
        return []
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text, match.end())
    except (ValueError, RecursionError):
        return []
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    return [word.strip() for word in value if isinstance(word, str) and word.strip()] if isinstance(value, list) else []
