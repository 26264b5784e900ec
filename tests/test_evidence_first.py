"""Choosing a paper's informative sentences, what the model sees of them, and which of its questions are kept."""

import re

import pytest
import yaml
from factory import answer_all, make_record
from fakes import FakeEngine
from hypothesis import given, settings
from hypothesis import strategies as st

from sciqag_lib.checks.rules import REASONS, check_pair, is_not_question, score_question
from sciqag_lib.engines import Completion
from sciqag_lib.errors import InputError
from sciqag_lib.generation import evidence_first
from sciqag_lib.generation.evidence_first import (
    CANDIDATES_PER_PAIR,
    Candidate,
    Kind,
    Sentence,
    choose_best,
    choose_sentences,
    find_sentences,
    is_garbled,
    load_kinds,
    question_prompt,
    read_question,
)
from sciqag_lib.generation.recipe import make_recipe
from sciqag_lib.generation.strategies import Collector, ask_evidence_first
from sciqag_lib.inference.prompts import PROMPTS_DIR, load_prompt
from sciqag_lib.records.papers import Paper, QAPair, Section

PROMPT = load_prompt("evidence_first", ("instruction", "kinds"))
KINDS = load_kinds(PROMPT)
FILLER = "The town lies near the river and has a market every week."
GOOD = "The yield of ester {} fell because residual water hydrolysed the acid chloride."


def make_paper(txt: str, **more) -> Paper:
    return Paper("10.1/x", txt, **{"keywords": [], **more})


def find(txt: str, **more) -> list[Sentence]:
    return find_sentences(make_paper(txt, **more), KINDS)


def answers(txt: str, **more) -> list[str]:
    return [sentence.answer for sentence in find(txt, **more)]


# ------------------------------------------------------------------------------------------ which sentences


def long_paper(num_sentences: int = 200) -> Paper:
    names = [f"{a}{b}" for a in "ABCDEFGHIJKLMNOPQRST" for b in "ABCDEFGHIJ"]
    return make_paper(" ".join(f"{GOOD.format(name)} {FILLER}" for name in names[:num_sentences]))


@pytest.mark.parametrize("num_pairs", [1, 3, 10])
def test_candidates_are_spread_over_the_paper(num_pairs):
    paper = long_paper()
    chosen = choose_sentences(paper, KINDS, num_pairs, set())
    assert len(chosen) == len({sentence.start for sentence in chosen}) == CANDIDATES_PER_PAIR * num_pairs
    parts = [sentence.start * num_pairs // len(paper.txt) for sentence in chosen]
    # Sentences differ in length: one more or fewer where a part of the text ends.
    assert all(abs(parts.count(number) - CANDIDATES_PER_PAIR) <= 1 for number in range(num_pairs))


def test_the_best_of_each_stretch_are_taken():
    """Three of each half of eight are taken; the best stands last in its half."""
    sentences = [GOOD.format(name) for name in ("AA", "BB", "CC", "DD", "EE", "FF", "GG", "HH")]
    sentences[3] = "The conversion of ester ZZ fell by 40% because residual water hydrolysed the acid chloride."
    paper = make_paper(" ".join(sentences))
    scores = [sentence.score for sentence in find_sentences(paper, KINDS)]
    assert scores.index(max(scores)) == 3
    assert [sentence.answer for sentence in choose_sentences(paper, KINDS, 2, set())] == [
        sentences[number] for number in (0, 1, 3, 4, 5, 6)
    ]


@pytest.mark.parametrize(
    "better, worse, more",
    [
        (GOOD.format("AA"), GOOD.format("BB"), {"title": "Hydrolysis of ester AA"}),
        (GOOD.format("AA"), GOOD.format("BB"), {"keywords": ["ester", "AA"]}),
        (GOOD.format("AA"), GOOD.format("BB"), {"keywords": "ester; AA"}),
        (GOOD.format("AA"), "The yield of our ester fell because residual water hydrolysed its acid chloride.", {}),
        ("The yield of ester AA fell by 12% because residual water hydrolysed the chloride.", GOOD.format("BB"), {}),
        (GOOD.format("AA"), "The porous electrode had a higher capacity than the dense electrode in KOH solution.", {}),
        (GOOD.format("AA"), GOOD.format("BB").replace("fell", "fell (as seen) (twice); then fell (again)"), {}),
    ],
)
def test_what_makes_a_sentence_the_better_one(better, worse, more):
    first, second = find(f"{worse} {better}", **more)
    assert (first.answer, second.answer) == (worse, better) and second.score > first.score


def test_sentences_already_used_never_come_again():
    paper, used = long_paper(40), set()
    for _ in range(20):
        chosen = choose_sentences(paper, KINDS, 3, used)
        assert not used & {sentence.start for sentence in chosen}
        used |= {sentence.start for sentence in chosen}
    assert len(used) == 40 and choose_sentences(paper, KINDS, 3, used) == []


def test_a_paper_with_fewer_sentences_than_pairs_gives_what_it_has():
    paper = make_paper(f"{GOOD.format('AA')} {FILLER} {GOOD.format('BB')}")
    assert len(choose_sentences(paper, KINDS, 10, set())) == 2
    assert choose_sentences(make_paper(FILLER), KINDS, 10, set()) == []


def test_the_strategy_asks_each_sentence_once_over_all_rounds():
    paper, engine = make_paper(make_record(0)["txt"]), FakeEngine(answer_all())
    asking = ask_evidence_first(paper, make_recipe(n_qa=2, context_size=8192), engine)
    asked, requests = [], next(asking).requests
    with pytest.raises(StopIteration) as end:
        while True:
            asked += [request.id.split("#")[1].split(".")[0] for request in requests]
            requests = asking.send([Completion(request.id, " is it?", "stop") for request in requests]).requests
    assert len(asked) == len(set(asked)) == 3 * 2 * CANDIDATES_PER_PAIR
    assert end.value.value.missing == ["weak_question"] * 2 and end.value.value.pairs == []


def test_what_a_paper_has_no_sentences_for_is_missing_for_that_reason():
    """Two sentences and a model that answers well: the other pairs are missing because of the paper, not the model."""
    paper = make_paper("\n".join(make_record(0)["txt"].split(". ")[:2]).replace("oxides\n", "oxides.\n") + ".")
    assert len(find_sentences(paper, KINDS)) == 2
    asking = ask_evidence_first(paper, make_recipe(n_qa=5, context_size=8192), FakeEngine(answer_all()))
    engine = FakeEngine(answer_all())
    requests = next(asking).requests
    for request in requests:
        engine.submit(request)
    with pytest.raises(StopIteration) as end:
        asking.send([engine.wait()[0] for _ in requests])
    assert len(end.value.value.pairs) == 2 and end.value.value.missing == ["no_informative_sentence"] * 3


@pytest.mark.parametrize(
    "title",
    [
        "Ethics statement",
        "Funding",
        "Competing interests",
        "Conflict of interest",
        "Acknowledgements",
        "Data availability",
        "Supporting information",
        "References",
        "Abbreviations",
        "Author contributions",
        "Informed consent",
    ],
)
def test_sections_about_the_paper_itself_give_nothing(title):
    txt = f"{GOOD.format('AA')}\n{title}\n{GOOD.format('BB')}\n{GOOD.format('CC')}"
    start, end = txt.index(title), txt.index(GOOD.format("CC"))
    assert answers(
        txt, sections=[Section("Results", 0, start), Section(title, start, end), Section("D", end, len(txt))]
    ) == [GOOD.format("AA"), GOOD.format("CC")]


NEVER = [
    "Figure 3. Yield of the ester because residual water hydrolysed the acid chloride.",
    "The yield fell at high temperature because of hydrolysis (Fig. 2).",
    "Table 1 | Yield of the ester | fell because | of water and acid in it.",
    "The loss is listed in Table 4 because residual water hydrolysed the acid.",
    "Why yields fell because residual water hydrolysed the acid chloride",  # a heading: no full stop
    "Did the yield of the ester fall because residual water hydrolysed the acid?",
    "It fell sharply in the last hour because residual water hydrolysed the acid chloride.",
    "They fell sharply in the last hour because residual water hydrolysed the acid chloride.",
    "This decrease occurred in the last hour because residual water hydrolysed the acid chloride.",
    "These yields fell in the last hour because residual water hydrolysed the acid chloride.",
    "Both esters decomposed in the last hour because residual water hydrolysed the acid chloride.",
    "However, it fell sharply in the last hour because residual water hydrolysed the acid.",
    "We found that they decomposed in the last hour because residual water hydrolysed the acid.",
    "In this study the yields of esters fell because residual water hydrolysed the acid chloride.",
    "The yields of esters fell as described above because residual water hydrolysed the acid.",
    "Smith et al reported that yields of esters fell because water hydrolysed the acid.",
    "The yields in Eq. 3 fell strongly because residual water hydrolysed the acid chloride.",
    "Yields of the esters fell because residual water hydrolysed the acid chloride (data not shown).",
    "Yields fell due to hydrolysis.",  # too short
    "The yield fell because " + "of the water and " * 20 + "the acid.",  # too long
    "k1 = 3.2e-4 + 7.1 * (x - 0.33) / 2.7e5 ± 0.4; 0.1, 0.2, 0.3, 0.4 because 0.5 = 0.6.",
    "The river flows through the town and its market on most days of summer.",  # of no kind
]


@pytest.mark.parametrize("sentence", NEVER, ids=lambda sentence: sentence[:30])
def test_sentences_that_need_their_paper_are_never_chosen(sentence):
    assert answers(f"{FILLER} {sentence}\n{GOOD.format('AA')}") == [GOOD.format("AA")]


# ------------------------------------------------------------------------------------------- span and answer


OPENINGS = [
    "",
    "However, ",
    "In addition, ",
    "We found that ",
    "Therefore, we observed that ",
    "The data show that ",
    "In contrast, ",
    "Our findings confirm that ",
    "First, ",
]


@pytest.mark.parametrize("opening", OPENINGS)
def test_an_empty_opening_is_cut_and_the_evidence_starts_after_it(opening):
    fact = "the yield of ester AA fell by 12% because residual water hydrolysed the acid chloride."
    fact = fact if opening else fact.capitalize().replace("aa", "AA")
    txt = f"{FILLER} {opening}{fact}"
    [sentence] = find(txt)
    assert txt[sentence.start : sentence.end] == fact
    assert sentence.answer == "The yield of ester AA fell by 12% because residual water hydrolysed the acid chloride."


@pytest.mark.parametrize("hedge", ["The results suggest that ", "The data indicate that "])
def test_a_hedge_is_part_of_the_fact(hedge):
    txt = f"{FILLER} {hedge}the yield of ester AA fell by 12% because residual water hydrolysed the acid chloride."
    [sentence] = find(txt)
    assert sentence.answer.startswith(hedge)


@pytest.mark.parametrize("word", ["pH", "mRNA", "siRNA", "lncRNA", "p53", "α-synuclein", "eNOS", "miR-21", "tRNA"])
def test_names_keep_their_case_at_the_start_of_an_answer(word):
    [sentence] = find(f"{FILLER} However, {word} levels of the cells fell because residual water hydrolysed the ester.")
    assert sentence.answer.split()[0] == word


def same_but_citations_and_case(span: str, answer: str) -> bool:
    plain = " ".join(evidence_first.CITATION.sub("", span).split())
    return plain[0].lower() == answer[0].lower() and plain[1:] == answer[1:]


PIECES = st.sampled_from(
    [
        "However, ",
        "We found that ",
        "the yield of AA fell ",
        "Yields of esters rose ",
        "because ",
        "due to ",
        "by 5% ",
        "residual water reacted with the chloride ",
        "in order to ",
        "was measured using ",
        "[3] ",
        "[4,5–7]",
        "more than ",
        "the other ester did ",
        "siRNA ",
        "\u2028",
        "\n",
        "  ",
        "\t",
        "Fig. 2 ",
        ". ",
        ". ",
        ".",
        "é",
        "𝛼-",
        "it ",
        "K2CO3 ",
    ]
)


@given(st.lists(PIECES, max_size=40))
@settings(max_examples=200, deadline=None)
def test_the_evidence_span_is_always_the_answer(pieces):
    txt = "".join(pieces) + "\n" + GOOD.format("AA")
    found = find(txt)
    assert found[-1].answer == GOOD.format("AA")
    for sentence in found:
        assert same_but_citations_and_case(txt[sentence.start : sentence.end], sentence.answer)
        assert evidence_first.MIN_WORDS <= len(sentence.answer.split()) <= evidence_first.MAX_WORDS
        assert "\n" not in txt[sentence.start : sentence.end] and sentence.answer.endswith(".")


def test_citation_marks_are_no_part_of_the_answer_but_of_the_span():
    txt = "The yield of ester AA fell [12] because residual water hydrolysed the acid chloride [3,4–6]."
    [sentence] = find(txt)
    assert sentence.answer == "The yield of ester AA fell because residual water hydrolysed the acid chloride."
    assert (sentence.start, sentence.end) == (0, len(txt))


# --------------------------------------------------------------------------------------- what the model sees


REASON_WORDS = ["because", "due to", "owing to", "as a result of", "as a consequence of", "thanks to"]
PURPOSE_WORDS = ["in order to", "so as to", "to avoid", "to prevent", "to minimise", "to verify"]


@pytest.mark.parametrize("mark", REASON_WORDS + PURPOSE_WORDS)
@pytest.mark.parametrize("twice", [False, True])
def test_the_reason_is_hidden_from_the_model(mark, twice):
    secret = "SECRET hydrolysis of the acid" + (f" and {mark} SECRET diffusion" if twice else "")
    [sentence] = find(f"The yield of the coupling reaction stayed low {mark} {secret}.")
    assert sentence.kind.before and sentence.kind.start == "Why"
    assert sentence.shown == "The yield of the coupling reaction stayed low."
    prompt = question_prompt(PROMPT, sentence).text
    assert "SECRET" not in prompt and "SECRET" in sentence.answer
    assert prompt.endswith("Fact: The yield of the coupling reaction stayed low.\nQuestion: Why")


@pytest.mark.parametrize("mark", REASON_WORDS)
def test_a_sentence_that_begins_with_its_reason_is_not_asked_for_it(mark):
    txt = f"{mark.capitalize()} hydrolysis in the wet solvent, yields of the coupling reaction stayed very low."
    assert not [sentence for sentence in find(txt) if sentence.kind.before]


@pytest.mark.parametrize(
    "middle", ["was not", "was most likely", "may probably be", "is thought to be", "was also", "was primarily"]
)
def test_what_the_model_sees_is_a_whole_statement(middle):
    found = find(f"The low yield of the coupling reaction in ethanol {middle} due to hydrolysis of the acid chloride.")
    for sentence in found:
        assert not re.search(r"\b(not|likely|probably|be|was|is|also|primarily)\.$", sentence.shown)


def test_other_kinds_show_the_whole_answer():
    txt = "The porous electrode had a higher capacity than the dense electrode at all current densities."
    [sentence] = find(txt)
    assert sentence.kind.name == "comparison" and sentence.shown == sentence.answer == txt


def test_control_tokens_and_braces_of_a_sentence_are_text():
    txt = "The <|im_end|> token of {{paper}} was lost in the parser because the reader had split it in two."
    [sentence] = find(txt)
    assert (
        "Fact: The < |im_end| > token of {{paper}} was lost in the parser.\n" in question_prompt(PROMPT, sentence).text
    )


# ---------------------------------------------------------------------------------- the model's questions

MADE = GOOD.format("AA")


def make_sentence(start=0, answer=MADE, first="Why") -> Sentence:
    kind = Kind("cause", re.compile("because"), first, True, ())
    return Sentence(start, start + len(answer), answer, answer, kind, 1.0)


@pytest.mark.parametrize(
    "text, question",
    [
        (" did the yield fall?", "Why did the yield fall?"),
        (" did the yield fall? Because it was wet.", "Why did the yield fall?"),
        (" did the yield fall?\nFact: another?", "Why did the yield fall?"),
        ("\n did the yield fall?\n", "Why did the yield fall?"),
        (" did  the\tyield \u2009 fall ?", "Why did the yield fall ?"),
        (" did the yield fall", "Why did the yield fall"),
        ("", "Why"),
        (" Why did the yield fall?", "Why did the yield fall?"),
        ("Why did the yield fall?", "Why did the yield fall?"),
    ],
)
def test_a_completion_is_read_up_to_its_question_mark(text, question):
    assert read_question(make_sentence(), text) == question


def test_without_a_forced_word_the_completion_is_the_question():
    assert read_question(make_sentence(first=""), " How low was it? x") == "How low was it?"


@pytest.mark.parametrize(
    "question",
    [
        "How did inputs have been presented to the subjects?",
        "Why does the enzyme be inhibited by zinc?",
        "What did the membranes had been coated with?",
        "How do the cells of the cells of the cells grow?",
        "Why is the rate of the reaction lower than the rate of the reaction in water?",
    ],
)
def test_garbled_questions_are_seen(question):
    assert is_garbled(question, GOOD)


@pytest.mark.parametrize(
    "question",
    [
        "Why did the yield of ester AA fall?",
        "How was the band gap of the films determined?",
        "",
        "Why have reefs far from river mouths recovered faster?",
        "Why had the samples been dried before the test?",
        "How does the rate in water compare with that in ethanol?",
        "How does the rate in water compare with the rate in ethanol?",
        "Why may the yield be low?",
    ],
)
def test_sound_questions_are_not_called_garbled(question):
    assert not is_garbled(question, GOOD)


def test_a_percentage_is_asked_for_only_where_there_is_one():
    question = "What percentage of the ester was hydrolysed in wet ethanol?"
    assert is_garbled(question, "Of the ester, 41 mol were hydrolysed.")
    for answer in ("41% of it was.", "It was 41 percent.", "It was 41 per cent.", "Half of it was, half was not."):
        assert not is_garbled(question, answer)


@pytest.mark.parametrize(
    "text, answer, question",
    [
        (" was yields low?", "Yields were low.", "Why were yields low?"),
        (" are the yield low?", "The yield is low.", "Why is the yield low?"),
        (" was it low?", "It was low while others were high.", "Why was it low?"),
        (" were it low?", "It fell.", "Why were it low?"),
    ],
)
def test_the_verb_of_a_question_agrees_with_the_answers(text, answer, question):
    assert read_question(make_sentence(answer=answer), text) == question


class Picky:
    """Takes pairs as strategies.Collector does; refuses the questions it is told to."""

    def __init__(self, missing: int, refused: tuple[str, ...] = ()):
        self.missing, self.refused = missing, refused
        self.taken: list[QAPair] = []
        self.offered: list[str] = []
        self.reasons: list[str] = []

    def take(self, pair: QAPair) -> bool:
        self.offered.append(pair.question)
        if self.missing <= 0 or pair.question in self.refused:
            return False
        self.missing -= 1
        self.taken.append(pair)
        return True

    def reject(self, reason: str) -> None:
        self.reasons.append(reason)


@pytest.fixture
def scored(monkeypatch):
    """A question's score is the number it begins with."""
    monkeypatch.setattr(evidence_first, "score_question", lambda question, *_: float(question.split()[0]))


def candidates(*pairs: tuple[int, str]) -> list[Candidate]:
    return [Candidate(make_sentence(start), question) for start, question in pairs]


def test_the_best_of_each_stretch_come_first_then_the_best_left(scored):
    collector = Picky(3)  # stretches of 0-99, 100-199, 200-299
    choose_best(
        candidates((0, "3 a"), (50, "2.9 b"), (110, "1.5 c"), (120, "2.8 d"), (250, "1.3 e")), collector, "x" * 300
    )
    assert [pair.question for pair in collector.taken] == ["3 a", "2.8 d", "1.3 e"]
    assert collector.offered == ["3 a", "2.8 d", "1.3 e", "2.9 b", "1.5 c"]


def test_a_refused_best_gives_way_to_the_next_of_its_stretch(scored):
    collector = Picky(2, refused=("3 a",))
    choose_best(candidates((0, "3 a"), (50, "1.4 b"), (110, "2 c"), (120, "1.9 d")), collector, "x" * 200)
    assert [pair.question for pair in collector.taken] == ["2 c", "1.4 b"]
    assert collector.offered.count("3 a") == 1  # it is counted once


def test_an_empty_stretch_is_filled_from_the_others(scored):
    collector = Picky(3)
    choose_best(candidates((0, "3 a"), (10, "2 b"), (20, "2.5 c")), collector, "x" * 300)
    assert [pair.question for pair in collector.taken] == ["3 a", "2.5 c", "2 b"]


def test_weak_and_garbled_questions_are_counted_and_never_offered(scored):
    collector = Picky(3)
    weakest = evidence_first.MIN_QUESTION_SCORE
    choose_best(
        candidates((0, f"{weakest - 0.1} a"), (10, f"{weakest} b"), (20, "2 w x y z w x y z")), collector, "x" * 300
    )
    assert collector.offered == [f"{weakest} b"] and collector.reasons == ["weak_question"] * 2


def test_pairs_carry_their_span_and_the_papers_own_sentence():
    txt = f"{FILLER} {GOOD.format('AA')}"
    [sentence] = find(txt)
    collector = Collector(make_paper(txt), 1)
    choose_best([Candidate(sentence, "Why did the yield of ester AA fall?")], collector, txt)
    [pair] = collector.accepted
    assert pair.answer == GOOD.format("AA") and pair.origin == "extracted"
    assert pair.evidence == [(len(FILLER) + 1, len(txt))]


def test_words_of_the_surroundings_are_not_invented_ones(monkeypatch):
    seen = []
    monkeypatch.setattr(evidence_first, "score_question", lambda *given: seen.append(given) or 0.0)
    txt = "a" * 1000 + GOOD.format("AA") + "b" * 1000
    sentence = make_sentence(1000)
    choose_best([Candidate(sentence, "Why?")], Picky(1), txt)
    [(question, answer, context)] = seen
    assert (question, answer, context) == ("Why?", sentence.answer, "a" * 400 + sentence.answer + "b" * 200)


# --------------------------------------------------------------------------------------------------- the kinds


def shipped() -> list[dict]:
    return yaml.safe_load((PROMPTS_DIR / "evidence_first.yaml").read_text(encoding="utf-8"))["kinds"]


@pytest.mark.parametrize(
    "damage, fault",
    [
        (lambda kind: kind.pop("name"), "'name'"),
        (lambda kind: kind.pop("pattern"), "'pattern'"),
        (lambda kind: kind.pop("start"), "'start'"),
        (lambda kind: kind.pop("examples"), "'examples'"),
        (lambda kind: kind["examples"][0].pop("fact"), "'fact'"),
        (lambda kind: kind.update(pattern="(unclosed"), "regular"),
        (lambda kind: kind.update(pattern=5), "mistyped"),
        (lambda kind: kind.update(examples=None), "mistyped"),
        (lambda kind: kind.update(start=None), "start"),
        (lambda kind: kind.update(examples=[{"fact": 1, "question": 2}]), "fact"),
    ],
    ids=[
        "name",
        "pattern",
        "start",
        "examples",
        "fact",
        "expression",
        "pattern 5",
        "no examples",
        "no start",
        "fact 1",
    ],
)
def test_a_faulty_kind_is_named(tmp_path, damage, fault):
    kinds = shipped()
    damage(kinds[1])
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "instruction": "Ask.", "kinds": kinds}))
    with pytest.raises(InputError, match="prompt mine, kind 2: ") as caught:
        load_kinds(load_prompt(str(path), ("instruction", "kinds")))
    assert fault in str(caught.value)


@pytest.mark.parametrize("kinds", ["[]", "{a: 1}", "text", "[1]", "[null]", "[[]]"])
def test_kinds_that_are_no_list_of_kinds_are_refused(tmp_path, kinds):
    path = tmp_path / "mine.yaml"
    path.write_text(f"version: 1\ninstruction: Ask.\nkinds: {kinds}\n")
    with pytest.raises(InputError, match="mine"):
        load_kinds(load_prompt(str(path), ("instruction", "kinds")))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_shipped_examples_are_what_the_prompt_asks_for(kind):
    assert len(kind.examples) >= 5
    for fact, question in kind.examples:
        assert not is_not_question(question) and not is_garbled(question, fact)
        assert check_pair(QAPair(question, fact, origin="extracted"), fact, []) in ("", "copies_answer", "empty_talk")
        assert question.split()[0] == kind.start or not kind.start
        assert fact.endswith(".") and "\n" not in fact + question
        assert not kind.before or not kind.pattern.search(fact)  # as real sentences of this kind are shown
    assert len({question for _, question in kind.examples}) == len(kind.examples)


def test_the_first_kind_that_matches_is_taken_and_prompts_of_a_kind_stand_together():
    txt = " ".join(
        [
            GOOD.format("AA"),
            "The porous electrode had a higher capacity than the dense electrode in KOH solution.",
            GOOD.format("BB"),
            "The yield of the coupling reaction was limited by hydrolysis of the acid chloride.",
        ]
    )
    chosen = choose_sentences(make_paper(txt), KINDS, 2, set())
    assert [sentence.kind.name for sentence in chosen] == ["agent", "cause", "cause", "comparison"]


def test_every_reason_of_the_strategy_is_in_the_closed_list():
    known = {*REASONS, "weak_question", "not_needed", "no_informative_sentence", "too_few_given"}
    paper = make_paper(make_record(0)["txt"])
    for text in (
        " is it?",
        "",
        " did the study report it?",
        " did the conductivity of copper alloy A000 reach 20 S/cm?",
    ):
        asking = ask_evidence_first(paper, make_recipe(n_qa=4, context_size=8192), FakeEngine(lambda request: ""))
        requests = next(asking).requests
        with pytest.raises(StopIteration) as end:
            while True:
                requests = asking.send([Completion(request.id, text, "stop") for request in requests]).requests
        outcome = end.value.value
        assert {*outcome.missing, *outcome.rejected} <= known and len(outcome.pairs) + len(outcome.missing) == 4


def test_a_good_question_outscores_a_poor_one():
    sentence = GOOD.format("AA")
    scores = [
        score_question(question, sentence, sentence)
        for question in (
            "Why did the yield of ester AA fall?",
            "What is the yield?",
            "Why did the moon of Jupiter freeze?",
        )
    ]
    assert scores[0] >= evidence_first.MIN_QUESTION_SCORE > max(scores[1:])
