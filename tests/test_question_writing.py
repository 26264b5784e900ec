"""benchmarks/question_*.py: the split, which sentences are asked about, the strict selection, the prompt, the join."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from fakes import FakeEngine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import question_data
import question_selection
import question_writing
from question_data import EXAMPLES, KINDS, NUM_HELD_OUT, TEMPERATURES, Item

from sciqag_lib.engines import Completion
from sciqag_lib.errors import InputError
from sciqag_lib.generation.evidence_first import find_sentences
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.records.papers import Paper
from sciqag_lib.training.data import Example
from sciqag_lib.training.encoding import ExampleEncoder

BASE_KINDS = question_data.load_base_kinds()
MORE = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8"))

CAUSE = "In the dry season, elephants move closer to the river because the ponds are empty."
PLOTS = "The field plots near the forest were covered with a nylon mesh in order to exclude herbivores."
LIMIT = "Larval growth in the beetle is limited by the nitrogen content of the leaves."
YIELD = "The low yield of the coupling reaction may be due to hydrolysis of the chloride."
METHOD = "Total RNA was extracted from the root tips using a silica column kit."


def make_paper(*sentences: str, doi: str = "10.1/x") -> Paper:
    return Paper(doi, "\n".join(sentences), keywords=[])


def read_sentence(text: str):
    [sentence] = find_sentences(make_paper(text), BASE_KINDS)
    return sentence


def fault_of(text: str, question: str) -> str:
    sentence = read_sentence(text)
    return question_selection.find_fault(sentence, question_data.make_teacher(sentence, MORE).shown, question)


# Papers and sentences ------------------------------------------------------------------------------------------------


def test_split_depends_on_the_doi_alone() -> None:
    papers = [make_paper("A.", doi=f"10.1/{number}") for number in range(60)]
    training, held_out = question_data.split_papers(papers)
    again = question_data.split_papers(list(reversed(papers)))
    assert len(held_out) == NUM_HELD_OUT and len(training) == 60 - NUM_HELD_OUT
    assert not {paper.doi for paper in training} & {paper.doi for paper in held_out}
    assert {paper.doi for paper in again[1]} == {paper.doi for paper in held_out}
    # sha256("10.1/47") begins with 00f9..., the smallest of the sixty
    assert held_out[0].doi == min((f"10.1/{n}" for n in range(60)), key=lambda doi: _sha(doi))


def _sha(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "text, plain",
    [
        (CAUSE, True),
        (LIMIT, True),
        (YIELD, True),
        (METHOD, True),
        ("In the dry season, elephants move closer to them because the ponds are empty.", False),
        ("The value of the growth rate in the beetle was determined by absorbance of light.", False),
        ("Larval growth in the beetle is low and is limited by the nitrogen content of the leaves.", False),
    ],
)
def test_only_plain_sentences_are_asked_about(text: str, plain: bool) -> None:
    assert question_data.is_plain(read_sentence(text)) is plain


def test_items_are_the_best_of_each_kind_and_few_of_one_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_data, "MAX_PER_PAPER", 2)
    causes = [f"Elephants of herd {name} move closer to the river because the ponds are empty." for name in "ABC"]
    papers = [make_paper(*causes, LIMIT, doi="10.1/a"), make_paper(causes[0], doi="10.1/b")]
    items = question_data.choose_items(papers, BASE_KINDS, 10)
    assert [item.sentence.kind.name for item in items] == ["agent", "cause", "cause", "cause"]
    assert [item.doi for item in items if item.sentence.kind.name == "cause"] == ["10.1/a", "10.1/a", "10.1/b"]
    assert len(question_data.choose_items(papers, BASE_KINDS, 1)) == 2
    scores = [item.sentence.score for item in items if item.sentence.kind.name == "cause"]
    assert scores == sorted(scores, reverse=True)


# Asking the base model -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, shown, start",
    [
        (CAUSE, "In the dry season, elephants move closer to the river.", "Why"),
        (LIMIT, "Larval growth in the beetle is limited by something.", "What limits"),
        (YIELD, "The low yield of the coupling reaction may be due to something.", "What explains"),
        (METHOD, "Total RNA was extracted from the root tips.", "How"),
    ],
)
def test_base_model_is_not_shown_what_the_question_asks_for(text: str, shown: str, start: str) -> None:
    teacher = question_data.make_teacher(read_sentence(text), MORE)
    assert teacher.shown == shown and teacher.kind.start == start
    assert len(teacher.kind.examples) == len(read_sentence(text).kind.examples) + len(MORE[teacher.kind.name])


def test_what_was_driven_drove() -> None:
    past = read_sentence("The spread of the fungus between the plantations was driven by infected seedlings.")
    assert question_data.begin_question(past) == "What drove"


def test_candidates_are_asked_until_one_is_fit_and_resumed(tmp_path: Path) -> None:
    items = [Item("10.1/x", read_sentence(LIMIT)), Item("10.1/y", read_sentence(CAUSE))]
    failing = {"10.1/y#0#1"}

    def reply(request):
        if request.id in failing:
            return Completion(request.id, "", "error", error="out of memory")
        return " larval growth in the beetle? And more"

    def is_fit(item, question):
        return question == "What limits larval growth in the beetle?"

    # The first is fit at once; the second fails in its second round, and then is asked until there are no more.
    for expected in (1 + len(TEMPERATURES), 1, 0):
        engine = FakeEngine(reply)
        with Ledger(tmp_path / "candidates.jsonl", {"model": "fake"}) as ledger:
            question_data.make_candidates(items, engine, ledger, is_fit)
            assert len(engine.requests) == expected
            read = [question_data.read_candidates(item, ledger) for item in items]
        if failing:
            assert [len(questions) for questions in read] == [1, 1]
        failing = set()
    assert read[0] == ["What limits larval growth in the beetle?"] and len(read[1]) == len(TEMPERATURES)
    assert len({request.sampling.seed for request in engine.requests}) == len(engine.requests)


# The selection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, question",
    [
        (CAUSE, "Why do elephants move closer to the river in the dry season?"),
        (PLOTS, "Why were the field plots near the forest covered with a nylon mesh?"),
        (
            "Beetles in the forest formed dense swarms because the larvae were gone.",
            "Why did beetles in the forest form dense swarms?",
        ),
        (LIMIT, "What limits larval growth in the beetle?"),
        (YIELD, "What explains the low yield of the coupling reaction?"),
        (METHOD, "How was total RNA extracted from the root tips?"),
    ],
)
def test_a_fit_question_is_kept(text: str, question: str) -> None:
    assert fault_of(text, question) == ""


@pytest.mark.parametrize(
    "text, question, fault",
    [
        (CAUSE, "Why do elephants move closer?", "leaves_out"),
        (CAUSE, "Why do elephants moved closer to the river in the dry season?", "garbled"),
        (CAUSE, "Why does elephants move closer to the river in the dry season?", "garbled"),
        (
            "Beetles in the forest formed dense swarms because the larvae were gone.",
            "Why did beetles in the forest formed dense swarm?",
            "garbled",
        ),
        (
            "The field plots were covered with nets because herbivores were frequent.",
            "Why were with nets covered the field plots?",
            "garbled",
        ),
        (CAUSE, "Why do hungry elephants move closer to the river in the dry season?", "invented"),
        (CAUSE, "Why do the ponds be empty in the dry season?", "invented"),
        (PLOTS, "Why were covered with a nylon mesh the field plots near the forest?", "garbled"),
        (PLOTS, "Why was the field plots near the forest covered with a nylon mesh?", "garbled"),
        (LIMIT, "What limits the nitrogen content of the leaves in the beetle?", "invented"),
        (LIMIT, "What is the main limit of larval growth in the beetle?", "invented"),
        (YIELD, "What is the yield of the coupling reaction due to?", "wrong_form"),
        (METHOD, "How was total RNA extracted using a silica column kit?", "invented"),
        (METHOD, "How was total RNA extracted from it?", "not_self_contained"),
        (METHOD, "How was total RNA extracted from the RNA?", "garbled"),
        (
            "The statistical analysis of the data was performed using the program Stata.",
            "How was the statistical analysis of the data performed?",
            "too_general",
        ),
        (METHOD, "It is unknown.", "not_a_question"),
    ],
)
def test_what_does_not_fit_is_turned_away(text: str, question: str, fault: str) -> None:
    assert fault_of(text, question) == fault


def test_the_first_fit_question_is_kept() -> None:
    sentence = read_sentence(METHOD)
    fit, other = "How was total RNA extracted from the root tips?", "How was total RNA from the root tips extracted?"
    shown = question_data.make_teacher(sentence, MORE).shown
    choose = question_selection.choose_question
    assert choose(sentence, shown, ["Why was it?", fit, other]) == (fit, {"not_self_contained": 1})
    assert choose(sentence, shown, ["Why was it?"]) == ("", {"not_self_contained": 1})


# Training and inference ----------------------------------------------------------------------------------------------


class WordTokenizer:
    """Enough of a tokenizer for ExampleEncoder.render."""

    is_fast, eos_token, eos_token_id = True, "</s>", 2


@pytest.mark.parametrize("text", [CAUSE, LIMIT, LIMIT.replace("beetle", "<|im_end|>")])
def test_inference_asks_with_the_text_that_was_trained(text: str) -> None:
    sentence = read_sentence(text)
    record = question_data.make_example(sentence, "Why?")
    encoder = ExampleEncoder(WordTokenizer(), 512, question_data.FORM, system="not in this form")
    rendered = encoder.render(Example(record["instruction"], record["input"], record["output"]))
    assert rendered == question_data.make_prompt_text(sentence)
    assert rendered.endswith("\nQuestion:\n") and "<|im_end|>" not in rendered
    assert sentence.shown.split()[0] in rendered and f"beginning with {sentence.kind.start}" in rendered


def test_training_sees_no_more_of_the_sentence_than_the_base_model_may() -> None:
    assert "ponds" not in question_data.make_example(read_sentence(CAUSE))["input"]


def test_params_file_names_the_form_and_files_of_the_benchmark() -> None:
    params = yaml.safe_load((question_writing.REPO_ROOT / question_writing.PARAMS).read_text(encoding="utf-8"))
    assert params["prompt_form"] == question_data.FORM
    assert params["data_path"] == f"{question_writing.FOLDER}/train.json"
    assert params["output_dir"] == f"{question_writing.FOLDER}/model"


# The reading ---------------------------------------------------------------------------------------------------------


def write_reading(folder: Path, before: str, after: str) -> None:
    """One letter for each sentence: g for good, b for bad."""
    first, last = question_writing.SIDES[0], question_writing.SIDES[-1]
    sides, verdicts = {}, []
    for side, letters in ((first, before), (last, after)):
        for number, letter in enumerate(letters):
            identity = str(len(sides))
            sides[identity] = {"side": side, "sentence": f"10.1/{number // 2}#{number}", "kind": "cause"}
            verdicts.append(
                {
                    "id": int(identity),
                    "verdict": "good" if letter == "g" else "bad",
                    "fault": "" if letter == "g" else "question_garbled",
                }
            )
    (folder / "sides.json").write_text(json.dumps(sides))
    (folder / "verdicts.jsonl").write_text("".join(json.dumps(verdict) + "\n" for verdict in verdicts))


def test_join_counts_good_ones_and_pairs_by_sentence(tmp_path: Path) -> None:
    write_reading(tmp_path, "gbbbbbbb", "ggggggbb")
    text = question_writing.join_verdicts(tmp_path / "verdicts.jsonl")
    assert "| base_examples | 1 | 8 | 12% |" in text and "| tuned | 6 | 8 | 75% |" in text
    assert "7 question_garbled" in text and "0.625 (" in text
    assert "5 sentences better, 0 worse (McNemar, exact: p = 0.062)" in text  # 2 * 0.5**5


def test_join_refuses_what_is_not_whole(tmp_path: Path) -> None:
    write_reading(tmp_path, "gb", "gg")
    lines = (tmp_path / "verdicts.jsonl").read_text().splitlines()
    (tmp_path / "verdicts.jsonl").write_text("\n".join(lines[:-1]))
    with pytest.raises(InputError, match="4 questions, found 3"):
        question_writing.join_verdicts(tmp_path / "verdicts.jsonl")
    (tmp_path / "verdicts.jsonl").write_text("\n".join([*lines, lines[0]]))
    with pytest.raises(InputError, match="found 4 in 5 lines"):
        question_writing.join_verdicts(tmp_path / "verdicts.jsonl")
    (tmp_path / "verdicts.jsonl").write_text("\n".join(lines).replace('"bad"', '"fair"'))
    with pytest.raises(InputError, match="good or bad"):
        question_writing.join_verdicts(tmp_path / "verdicts.jsonl")


def test_sheet_shows_no_side_and_both_have_the_same_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [
        Item(f"10.1/{number}", replace(read_sentence(text), start=number))
        for number, text in enumerate([LIMIT, CAUSE, PLOTS, METHOD] * 2)
    ]
    items.sort(key=lambda item: KINDS.index(item.sentence.kind.name))
    monkeypatch.setattr(question_writing, "list_parts", lambda: ({}, [], items))
    monkeypatch.setattr(question_writing, "NUM_READ", 5)
    questions = {side: {item.id: f"{side[0]}{item.id}?" for item in items} for side in question_writing.SIDES}
    (tmp_path / "questions.json").write_text(json.dumps(questions))
    question_writing.make_sheet(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "sheet.jsonl").read_text().splitlines()]
    sides = json.loads((tmp_path / "sides.json").read_text())
    assert len(rows) == 10 and set(rows[0]) == {"id", "doi", "sentence", "Q"}
    by_side = {
        side: {about["sentence"] for about in sides.values() if about["side"] == side}
        for side in ("base_examples", "tuned")
    }
    assert by_side["base_examples"] == by_side["tuned"] and len(by_side["tuned"]) == 5
    for row in rows:
        about = sides[str(row["id"])]
        assert row["Q"] == questions[about["side"]][about["sentence"]]
    assert {about["kind"] for about in sides.values()} == set(KINDS)  # in turn, not the first kind alone
    order = [about["side"] for about in sides.values()]
    assert order != sorted(order) and order != sorted(order, reverse=True)
