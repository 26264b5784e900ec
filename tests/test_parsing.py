"""parsing.py: every form a model may answer in, what is named when it can't be read, and hostile text."""

import json
import random
import time

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sciqag_lib.generation.parsing import PROBLEMS, ParsedReply, format_pairs, parse_reply, split_keywords
from sciqag_lib.inference.replies import strip_reasoning
from sciqag_lib.records.papers import QAPair

WANTED = [
    ("How many loci were genotyped?", "Eleven loci were genotyped in 240 individuals."),
    ("Why was the film annealed at 450 K?", "Annealing at 450 K removes the solvent."),
]
Q1, A1, Q2, A2 = WANTED[0] + WANTED[1]


def texts(reply: ParsedReply) -> list[tuple[str, str]]:
    return [(pair.question, pair.answer) for pair in reply.pairs]


FORMS = {
    "published": f"Keywords: gene flow, films\n\nQ1: {Q1}\nA1: {A1}\n\nQ2: {Q2}\nA2: {A2}",
    "no numbers": f"Q: {Q1}\nA: {A1}\n\nQ: {Q2}\nA: {A2}",
    "numbered questions, bare answers": f"Q1: {Q1}\nA: {A1}\n\nQ2: {Q2}\nA: {A2}",
    "words": f"Question 1: {Q1}\nAnswer 1: {A1}\nQuestion 2: {Q2}\nAnswer 2: {A2}",
    "words without numbers": f"Question: {Q1}\nAnswer: {A1}\n\nQuestion: {Q2}\nAnswer: {A2}",
    "dots": f"Q1. {Q1}\nA1. {A1}\nQ2. {Q2}\nA2. {A2}",
    "brackets": f"Q1) {Q1}\nA1) {A1}\nQ2) {Q2}\nA2) {A2}",
    "number signs": f"Question #1: {Q1}\nAnswer #1: {A1}\nQuestion #2: {Q2}\nAnswer #2: {A2}",
    "windows line ends": f"Q1: {Q1}\r\nA1: {A1}\r\n\r\nQ2: {Q2}\r\nA2: {A2}\r\n",
    "later notebook": f"1. {Q1}\nA: {A1}\n\n2. {Q2}\nA: {A2}",
    "numbered, no answer marks": f"1. {Q1}\n{A1}\n\n2. {Q2}\n{A2}",
    "numbered, bold": f"1. **{Q1}**\n   {A1}\n\n2. **{Q2}**\n   {A2}",
    "numbered with words": f"1. **Question:** {Q1}\n   **Answer:** {A1}\n2. **Question:** {Q2}\n   **Answer:** {A2}",
    "bold marks": f"**Q1:** {Q1}\n**A1:** {A1}\n\n**Q2:** {Q2}\n**A2:** {A2}",
    "bold marks, colon outside": f"**Q1**: {Q1}\n**A1**: {A1}\n\n**Q2**: {Q2}\n**A2**: {A2}",
    "bold questions": f"**Q1: {Q1}**\nA1: {A1}\n\n**Q2: {Q2}**\nA2: {A2}",
    "bold texts": f"Q1: **{Q1}**\nA1: {A1}\n\nQ2: **{Q2}**\nA2: {A2}",
    "bullets": f"- Q1: {Q1}\n- A1: {A1}\n- Q2: {Q2}\n- A2: {A2}",
    "quoted": f"> Q1: {Q1}\n> A1: {A1}\n\n> Q2: {Q2}\n> A2: {A2}",
    "headings": f"### Question 1\n{Q1}\n\n### Answer 1\n{A1}\n\n### Question 2\n{Q2}\n\n### Answer 2\n{A2}",
    "headings and pairs": f"## Pair 1\n**Q:** {Q1}\n**A:** {A1}\n\n## Pair 2\n**Q:** {Q2}\n**A:** {A2}",
    "titles in bold": f"**Pair 1**\nQ: {Q1}\nA: {A1}\n\n**Pair 2**\nQ: {Q2}\nA: {A2}",
    "rules between": f"Q1: {Q1}\nA1: {A1}\n\n---\n\nQ2: {Q2}\nA2: {A2}\n\n---",
    "fenced": f"```\nQ1: {Q1}\nA1: {A1}\n\nQ2: {Q2}\nA2: {A2}\n```",
    "one line": f"Q1: {Q1} A1: {A1} Q2: {Q2} A2: {A2}",
    "answer on the question's line": f"Q1: {Q1} A1: {A1}\nQ2: {Q2} A2: {A2}",
    "no answer marks": f"Q1: {Q1}\n{A1}\n\nQ2: {Q2}\n{A2}",
    "chatter around": f"Sure! Here are the pairs:\n\nQ1: {Q1}\nA1: {A1}\n\nQ2: {Q2}\nA2: {A2}\n\nI hope this helps!",
    "end of turn": f"Q1: {Q1}\nA1: {A1}\n\nQ2: {Q2}\nA2: {A2}<|im_end|>\n<|im_start|>user\nQ3: x?\nA3: y",
    "table": f"| # | Question | Answer |\n|---|:--|---|\n| 1 | {Q1} | {A1} |\n| 2 | {Q2} | {A2} |\n\nDone.",
    "json": json.dumps([{"Q": Q1, "A": A1}, {"Q": Q2, "A": A2}]),
    "json words": json.dumps([{"question": Q1, "answer": A1}, {"question": Q2, "answer": A2}], indent=2),
    "json answer first": json.dumps([{"Answer": A1, "Question": Q1}, {"Answer": A2, "Question": Q2}]),
    "json nested": json.dumps({"result": {"Q&A": [{"Q": Q1, "A": A1}, {"Q": Q2, "A": A2}]}}),
    "json with evidence": json.dumps([{"Q": q, "evidence": {"spans": [1]}, "A": a} for q, a in WANTED]),
    "json flat": json.dumps({"Q1": Q1, "A1": A1, "Q2": Q2, "A2": A2}),
    "json one object": f'{{"Q": "{Q1}", "A": "{A1}", "Q": "{Q2}", "A": "{A2}"}}',
    "json flat, questions first": json.dumps({"Q1": Q1, "Q2": Q2, "A1": A1, "A2": A2}),
    "json by number": json.dumps({"Q1": {"question": Q1, "answer": A1}, "Q2": {"question": Q2, "answer": A2}}),
    "json lines": "\n".join(json.dumps({"Q": q, "A": a}) for q, a in WANTED),
    "json fenced": "Here it is:\n```json\n" + json.dumps([{"Q": Q1, "A": A1}, {"Q": Q2, "A": A2}]) + "\n```\nDone.",
    "json trailing commas": f'[{{"Q": "{Q1}", "A": "{A1}",}}, {{"Q": "{Q2}", "A": "{A2}",}},]',
    "json answer as list": json.dumps([{"Q": q, "A": a.split(" 450 ")} for q, a in WANTED]).replace('", "R', ""),
    "think": f"<think>\nQ1: draft?\nA1: draft\n</think>\n\nQ1: {Q1}\nA1: {A1}\n\nQ2: {Q2}\nA2: {A2}",
    "think opened in the template": f"Let me see.\nQ1: no?\nA1: no\n</think>\nQ1: {Q1}\nA1: {A1}\nQ2: {Q2}\nA2: {A2}",
    "thinking between": f"<thinking>hm</thinking>Q1: {Q1}\nA1: {A1}\n<think>more</think>\nQ2: {Q2}\nA2: {A2}",
    "mistral": f"[THINK]Q1: a?\nA1: b[/THINK]Q1: {Q1}\nA1: {A1}\nQ2: {Q2}\nA2: {A2}",
    "harmony": f"<|channel|>analysis<|message|>Q1: a?\nA1: b<|end|><|start|>assistant<|channel|>final<|message|>"
    f"Q1: {Q1}\nA1: {A1}\nQ2: {Q2}\nA2: {A2}<|return|>",
    "harmony without tokens": f"analysisQ1: a?\nA1: bassistantfinalQ1: {Q1}\nA1: {A1}\nQ2: {Q2}\nA2: {A2}",
}
FORMS["json answer as list"] = json.dumps([{"Q": Q1, "A": A1.split(" ", 1)}, {"Q": Q2, "A": A2.split(" ", 1)}])


@pytest.mark.parametrize("form", FORMS)
def test_reads_each_form(form: str) -> None:
    reply = parse_reply(FORMS[form])
    assert texts(reply) == WANTED
    assert reply.problems == []


@pytest.mark.parametrize(
    "head",
    [
        "Keywords: gene flow, X-ray (XRD, SAXS), 1,2-dichloroethane.",
        "**Keywords:** gene flow; X-ray (XRD, SAXS); 1,2-dichloroethane",
        "Keywords: [gene flow], [X-ray (XRD, SAXS)], [1,2-dichloroethane].",
        "## Keywords\n\n- gene flow\n- X-ray (XRD, SAXS)\n- 1,2-dichloroethane\n",
        "Keywords:\n1. gene flow\n2. X-ray (XRD, SAXS)\n3. 1,2-dichloroethane\n\n**Question-Answer Pairs:**\n",
        "Key words: gene flow, X-ray (XRD, SAXS),\n1,2-dichloroethane\nHere are the pairs:",
        "Step 1: Keywords: gene flow, X-ray (XRD, SAXS), 1,2-dichloroethane\n\nStep 2: the pairs",
    ],
)
@pytest.mark.parametrize("body", ["published", "later notebook", "headings", "table"])
def test_reads_keywords(head: str, body: str) -> None:
    pairs = FORMS[body].removeprefix("Keywords: gene flow, films\n\n")
    reply = parse_reply(f"{head}\n\n{pairs}")
    assert reply.keywords == ["gene flow", "X-ray (XRD, SAXS)", "1,2-dichloroethane"]
    assert texts(reply) == WANTED


@pytest.mark.parametrize("value", [["gene flow", "film, thin"], "gene flow; film, thin"])
def test_reads_json_keywords(value: object) -> None:
    reply = parse_reply(json.dumps({"keywords": value, "pairs": [{"Q": Q1, "A": A1}]}))
    assert reply.keywords == (value if isinstance(value, list) else ["gene flow", "film", "thin"])


def test_keywords_without_pairs_are_kept() -> None:
    assert parse_reply("Keywords: a, b") == ParsedReply(["a", "b"], [], ["no_pairs"])


def test_multi_line_answers_keep_their_lines() -> None:
    answer = "Three steps:\n1. mixing\n2. heating?\n\n* cooling to 4 K"
    reply = parse_reply(f"Q1: {Q1}\nA1: {answer}\n\nQ2: {Q2}\nA2: {A2}")
    assert texts(reply) == [(Q1, answer), (Q2, A2)]
    numbered = parse_reply(f"1. {Q1}\nA: {answer}\n\n2. {Q2}\nA: {A2}")
    assert texts(numbered) == [(Q1, answer), (Q2, A2)]


@pytest.mark.parametrize(
    "answer",
    [
        "In the Q2: score and the A1: adenosine receptor.",
        "The base A: adenine. Q: quality.",
        "Bases are\nA: adenine\nQ: a quality factor",
        "Set {x: 1} and \\frac{\\alpha}{2} at $T_{c}$ | 5 **bold** `{}`",
        '{"Q": 5}',
        '{"Q": "a?", "A": "b"}',
        "A. thaliana\nA. thaliana grows",
        "A1-type receptors",
        "3.5 eV\n2.1 eV",
    ],
)
def test_marks_inside_an_answer_are_text(answer: str) -> None:
    reply = parse_reply(f"Q1: {Q1}\nA1: {answer}\n\nQ2: {Q2}\nA2: {A2}")
    assert texts(reply) == [(Q1, answer), (Q2, A2)]
    assert reply.problems == []


def test_a_list_in_a_question_is_part_of_it() -> None:
    question = "Which of these holds?\n1. The first.\n2. The second?"
    assert texts(parse_reply(f"Q1: {question}\nA1: {A1}")) == [(question, A1)]


def test_marks_inside_json_are_text() -> None:
    answer = "As in\nQ1: this?\nA1: that"
    assert texts(parse_reply(f'[{{"Q": "{Q1}", "A": "{answer}"}}]')) == [(Q1, answer)]


def test_one_line_cut_short() -> None:
    line = FORMS["one line"]
    reply = parse_reply(line[: line.index(" A2:")], finished=False)
    assert (texts(reply), reply.problems) == (WANTED[:1], ["truncated"])
    assert parse_reply(line[: line.index(" A2:")]).problems == ["question_without_answer"]


def test_json_keeps_latex_braces_and_marks() -> None:
    text = r'[{"Q": "Is \alpha{x} \beta, \frac{1}{2} \\gamma?", "A": "Q1: \"yes\"\nA1: {no} é 😀"}]'
    wanted = r"Is \alpha{x} \beta, \frac{1}{2} \gamma?"
    assert texts(parse_reply(text)) == [(wanted, 'Q1: "yes"\nA1: {no} é 😀')]


def test_half_a_surrogate_pair_becomes_writable() -> None:
    reply = parse_reply('[{"Q": "What \\ud83d?", "A": "It."}]')
    assert reply.pairs[0].question.encode("utf-8")


def test_json_cut_short_keeps_complete_pairs() -> None:
    whole = json.dumps({"keywords": ["a"], "pairs": [{"Q": Q1, "A": A1}, {"Q": Q2, "A": A2}]}, indent=1)
    second = whole.index('"Q"', whole.index(A1))
    for end in range(second, whole.index(A2) + len(A2)):
        reply = parse_reply(whole[:end])
        assert texts(reply) == WANTED[:1], whole[:end]
        assert reply.problems == ["truncated"], whole[:end]
        assert reply.keywords == ["a"]


def test_text_cut_short() -> None:
    text = FORMS["published"]
    for end in range(text.index(A1) + 1, len(text) + 1):
        reply = parse_reply(text[:end], finished=False)
        assert "truncated" in reply.problems
        complete = WANTED[:1] if end >= text.index("Q2") + 2 else []
        assert texts(reply) == complete, text[:end]
        assert set(reply.problems) <= {"truncated", "no_pairs"}


def test_finished_json_loses_nothing_at_the_limit() -> None:
    reply = parse_reply(FORMS["json"], finished=False)
    assert (texts(reply), reply.problems) == (WANTED, ["truncated"])


@pytest.mark.parametrize(
    ("text", "pairs", "problems"),
    [
        ("", [], ["no_pairs"]),
        ("I can't do that.", [], ["no_pairs"]),
        (f"Q1: {Q1}\nQ2: {Q2}\nA2: {A2}", [(Q2, A2)], ["question_without_answer"]),
        (f"Q1: {Q1}\nA1:\n\nQ2: {Q2}\nA2: {A2}", [(Q2, A2)], ["question_without_answer"]),
        (f"A1: {A1}\n\nQ2: {Q2}\nA2: {A2}", [(Q2, A2)], ["answer_without_question"]),
        (f"Q1: {Q1}\nA1: {A1}\nA2: {A2}", [(Q1, A1)], ["answer_without_question"]),
        (f"Q1: {Q1}\nA1: {A1}\n\nQ2: {Q2}", [(Q1, A1)], ["question_without_answer"]),
        ("<think>Q1: a?\nA1: b", [], ["only_reasoning", "no_pairs"]),
        ("<think>all of it</think>", [], ["only_reasoning", "no_pairs"]),
        ("<|channel|>analysis<|message|>Q1: a?\nA1: b", [], ["only_reasoning", "no_pairs"]),
        (f'[{{"Q": "{Q1}"}}, {{"Q": "{Q2}", "A": "{A2}"}}]', [(Q2, A2)], ["question_without_answer"]),
        (f'[{{"A": "{A1}"}}, {{"Q": "{Q2}", "A": "{A2}"}}]', [(Q2, A2)], ["answer_without_question"]),
        (f'[{{"Q": null, "A": "{A1}"}}]', [], ["no_pairs", "answer_without_question", "bad_json"]),
        ("[{'Q': 'What?', 'A': 'It.'}]", [], ["no_pairs", "bad_json"]),
        (
            f'[{{"Q": "What is "x"?", "A": "It."}}, {{"Q": "{Q2}", "A": "{A2}"}}]',
            [(Q2, A2)],
            ["answer_without_question", "bad_json"],
        ),
    ],
)
def test_names_what_it_cannot_read(text: str, pairs: list[tuple[str, str]], problems: list[str]) -> None:
    reply = parse_reply(text)
    assert texts(reply) == pairs
    assert reply.problems == problems


def test_reasoning_is_removed_once() -> None:
    assert strip_reasoning("<think>a</think>b") == ("b", [])
    assert strip_reasoning("a < b and <i>c</i>") == ("a < b and <i>c</i>", [])


# Text that survives: one line, no emphasis around it, nothing that opens or closes something by itself.
words = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=60).map(str.strip)


def is_plain(text: str) -> bool:
    marks = ("**", "__", "```", "---", "===", "***", "|", "<", "[THINK", "[/THINK", ":", "：", '"')
    return bool(text) and not any(mark in text for mark in marks)


@given(
    st.lists(words.filter(lambda w: is_plain(w) and not set(w) & set(",;()[].*_")), max_size=4),
    st.lists(st.tuples(words.filter(is_plain), words.filter(is_plain)), min_size=1, max_size=4),
)
@example([], [("#", "#")])
@example([], [("1. x", "1. x?")])
@example(["a"], [("I hope this", "Let me know")])
@settings(max_examples=300, deadline=None)
def test_published_text_is_read_back(keywords: list[str], pairs: list[tuple[str, str]]) -> None:
    assume(not any(keyword[0] in "-+•#>0123456789" for keyword in keywords))
    text = format_pairs(keywords, [QAPair(q, a) for q, a in pairs])
    reply = parse_reply(text)
    assert texts(reply) == pairs
    assert reply.keywords == keywords
    assert reply.problems == []


def test_published_text_is_as_published() -> None:
    pairs = [QAPair(q, a) for q, a in WANTED]
    assert format_pairs(["gene flow", "films"], pairs) == FORMS["published"]
    assert format_pairs([], [QAPair("What\n is\r\n it?", "It\n\nis.")]) == "Q1: What is it?\nA1: It is."


@given(st.text(max_size=400), st.booleans())
@settings(max_examples=300, deadline=None)
def test_never_raises(text: str, finished: bool) -> None:
    check_sound(parse_reply(text, finished=finished), finished)


@given(st.sampled_from(sorted(FORMS)), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=500, deadline=None)
def test_mutated_replies_never_raise(form: str, rng: random.Random, finished: bool) -> None:
    text = FORMS[form]
    for _ in range(rng.randint(1, 6)):
        start, end = sorted(rng.choices(range(len(text) + 1), k=2))
        kind = rng.randrange(4)
        if kind == 0:
            text = text[:start] + text[min(end, start + 9) :]
        elif kind == 1:
            mark = rng.choice(['"', "{", "}", "[", "]", "\\", "\n", "Q1:", "A2:", "<think>", "|", "\0"])
            text = text[:start] + mark + text[start:]
        elif kind == 2:
            text = text[:end] + text[start:]
        else:
            text = text[:end]
    check_sound(parse_reply(text, finished=finished), finished)


def check_sound(reply: ParsedReply, finished: bool) -> None:
    assert set(reply.problems) <= set(PROBLEMS)
    assert all(pair.question.strip() and pair.answer.strip() for pair in reply.pairs)
    assert all(reply.keywords)
    assert bool(reply.pairs) != ("no_pairs" in reply.problems)
    assert finished or "truncated" in reply.problems


HOSTILE = [
    " ", "\n", "\t \n", "*", "#", "> ", "- ", "1. ", "1. a?\n", "Q", "Q1", "Q1:", "Q1: ", "Q:\n", "A1:\n",
    "Q1: a?\nA1: b\n", " Q1: a? A1: b.", "Keywords:", "Keywords:\n", "Keywords: a\n", "a,", "(", "(,", "<think>",
    "</think>", "<think></think>", "[", "{", "{[", '"', '\\"', '"\\', '"Q":', '{"Q":', '{"Q": "a", "A": "b"}', '"Q" ',
    '"keywords":', '"keywords": [', "|", "|question|answer|\n", "| a | b |\n", "\\", "\\|", "**", "__", "```\n",
    "---\n", "\n\n", "\n \n", "<|channel|>final", "</s>", "### Question 1\n", "\n\nI hope this", "analysis", "é:",
    "\u2028", "**Q1", "?", "? A", "? A1:", ". Q1:", "_", "：",
]  # fmt: skip

HEADS = ["", 'Q1: a?\nA1: {"Q": "b ', '{"Q": "', "Keywords: ", "|question|answer|\n"]


@pytest.mark.parametrize("unit", HOSTILE, ids=repr)
@pytest.mark.parametrize("head", HEADS, ids=repr)
def test_a_megabyte_of_anything_is_fast(unit: str, head: str) -> None:
    # About 0.2 s; quadratic time would be minutes. Where a busy machine takes longer, a quarter of the text must take
    # about a quarter of the time: a sixteenth, if time grew with the square.
    seconds = time_parsing(head + unit * (200_000 // len(unit)))
    assert seconds < 1 or seconds < 8 * time_parsing(head + unit * (50_000 // len(unit))), f"{seconds:.2f} s"


def time_parsing(text: str) -> float:
    """Seconds of the processor, not of the clock."""
    began = time.process_time()
    check_sound(parse_reply(text), True)
    return time.process_time() - began


def test_split_keywords_of_unbalanced_brackets() -> None:
    assert split_keywords("a (b, c, d") == ["a (b", "c", "d"]
    assert split_keywords(" ") == []
