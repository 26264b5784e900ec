"""The strategies as generators, driven by hand: what a second round asks, and what comes out of it."""

import re

import pytest
from factory import FACT, answer_all, make_record, question_to
from fakes import FakeEngine
from hypothesis import given, settings
from hypothesis import strategies as st

from sciqag_lib.engines import Completion
from sciqag_lib.generation import evidence_first
from sciqag_lib.generation.recipe import make_recipe
from sciqag_lib.generation.strategies import MAX_ROUNDS, PASSAGE_WORDS, STRATEGIES, Outcome, split_passages, spread
from sciqag_lib.records.papers import Paper

ENGINE = FakeEngine(lambda request: "")


def make_paper(num_facts: int = 40) -> Paper:
    record = make_record(0, num_facts)
    return Paper(record["doi"], record["txt"], record["keywords"], title=record["title"])


def drive(strategy: str, reply, paper: "Paper | None" = None, **more) -> tuple[list, Outcome]:
    """All rounds of requests, answered by `reply(round number, request)`, and the outcome."""
    recipe = make_recipe(strategy, **{"context_size": 8192, "temperature": 0.0, "n_qa": 10, **more})
    asking, rounds = STRATEGIES[strategy](paper or make_paper(), recipe, ENGINE), []
    replies = None
    while True:
        try:
            asked = (next(asking) if replies is None else asking.send(replies)).requests
        except StopIteration as end:
            return rounds, end.value
        replies = [Completion(request.id, reply(len(rounds), request), "stop") for request in asked]
        rounds.append(asked)


def prompts(rounds) -> list[str]:
    return [ENGINE.format(request.prompt) for requests in rounds for request in requests]


UNUSABLE = "Keywords: a\n\n" + "\n\n".join(f"Q{n}: What does Figure {n} show?\nA{n}: Figure {n}." for n in range(1, 11))


def test_a_greedy_model_is_never_asked_the_same_prompt_twice():
    rounds, outcome = drive("whole_paper", lambda *_: UNUSABLE)
    assert len(rounds) == 1 and outcome.missing == ["not_self_contained"] * 10
    rounds, _ = drive("whole_paper", lambda *_: UNUSABLE, temperature=0.6)
    assert len(rounds) == MAX_ROUNDS
    assert len({request.sampling.seed for [request] in rounds}) == MAX_ROUNDS


@pytest.mark.parametrize("text", ["", "I cannot do that.", UNUSABLE])
def test_a_greedy_retry_of_passages_changes_its_prompts_too(text):
    rounds, outcome = drive("passages", lambda *_: text, make_paper(12))
    assert len(prompts(rounds)) == len(set(prompts(rounds))) and len(outcome.missing) == 10


def test_an_unreadable_reply_is_told_so_and_nothing_else():
    rounds, _ = drive("whole_paper", lambda *_: "I cannot do that.")
    first, second = prompts(rounds)
    assert "could not be read" in second and "could not be read" not in first and "already taken" not in second


@pytest.mark.parametrize("strategy", ["whole_paper", "passages"])
def test_a_second_round_names_the_taken_questions(strategy):
    rounds, outcome = drive(strategy, lambda number, request: answer_all(2)(request) if not number else "")
    taken = [pair.question for pair in outcome.pairs]
    assert taken and not any(question in prompt for question in taken for prompt in prompts(rounds[:1]))
    assert all(f"\n- {question}" in prompt for question in taken for prompt in prompts(rounds[1:2]))


def test_keywords_and_output_are_those_of_the_first_reply():
    replies = ["Keywords: first, second\n\nQ1: x", "Keywords: third\n\nno pairs", "Keywords: fourth"]
    _, outcome = drive("whole_paper", lambda number, request: replies[number], temperature=0.6)
    assert outcome.keywords == ["first", "second"] and outcome.output == replies[0]
    _, outcome = drive("whole_paper", lambda number, request: ["no", *replies][number], temperature=0.6)
    assert outcome.keywords == ["first", "second"] and outcome.output == "no"


def test_a_passage_never_gives_more_than_its_share():
    """A model that always writes 10 pairs would fill the paper's count from its first passage."""
    rounds, outcome = drive("passages", lambda number, request: answer_all(10)(request), n_qa=2)
    assert len(rounds) == 1 and len(rounds[0]) == 2 == len(outcome.pairs)
    starts = [pair.evidence[0][0] for pair in outcome.pairs]
    assert starts[1] - starts[0] > 800


def test_passages_not_asked_yet_come_first_in_a_second_round():
    paper = make_paper(120)
    spans = split_passages(paper.txt)
    assert len(spans) == 6
    rounds, outcome = drive(
        "passages", lambda number, request: "no" if not number else answer_all()(request), paper, n_qa=3
    )
    asked = [{int(request.id.split("#")[1].split(".")[0]) for request in requests} for requests in rounds]
    assert asked == [{0, 2, 4}, {1, 3, 5}] and len(outcome.pairs) == 3


def test_pairs_of_sentences_stand_in_the_papers_order_and_the_input_is_the_first_prompt(monkeypatch):
    """Whatever their scores are: here the last sentence has the best question."""
    monkeypatch.setattr(
        evidence_first, "score_question", lambda _, answer, __: 2 + int(re.search(r"A0(\d+)", answer)[1])
    )
    rounds, outcome = drive("evidence_first", lambda number, request: answer_all()(request))
    starts = [pair.evidence[0][0] for pair in outcome.pairs]
    assert starts == sorted(starts) and len(starts) == 10
    assert outcome.input == prompts(rounds)[0]
    assert re.findall(r"^Q\d+: (.+)$", outcome.output, re.MULTILINE) == [pair.question for pair in outcome.pairs]


def test_rejected_counts_only_what_the_model_gave():
    """3 of 10 pairs come, one of them unusable: one was rejected, the others were never there."""

    def reply(number, request):
        facts = [fact for fact in FACT.finditer(request.prompt.user)][:2]
        good = "\n\n".join(f"Q{n}: {question_to(fact)}\nA{n}: {fact[0]}" for n, fact in enumerate(facts, 1))
        return f"{good}\n\nQ3: What does Figure 3 show?\nA3: Figure 3." if not number else "no"

    _, outcome = drive("whole_paper", reply)
    assert len(outcome.pairs) == 2 and outcome.rejected == {"not_self_contained": 1}


@given(
    st.lists(
        st.sampled_from(["Iron rusts in wet air. ", "word ", "\n", "a b c d e f g h i j " * 9, "X. ", ""]), max_size=120
    )
)
@settings(max_examples=80, deadline=None)
def test_passages_cover_the_text_without_overlap(parts):
    text = "".join(parts)
    spans = split_passages(text)
    assert spans[0][0] == 0 and spans[-1][1] == len(text)
    assert all(before[1] == after[0] for before, after in zip(spans, spans[1:]))
    assert all(len(text[start:end].split()) >= PASSAGE_WORDS // 3 for start, end in spans) or len(spans) == 1


@pytest.mark.parametrize(
    "count, places, shares",
    [
        (3, [0, 1, 2, 3, 4, 5], {0: 1, 2: 1, 4: 1}),
        (7, [4, 9], {4: 4, 9: 3}),
        (0, [1], {}),
        (1, [7, 8], {7: 1}),
    ],
)
def test_shares_are_even(count, places, shares):
    assert spread(count, places) == shares
