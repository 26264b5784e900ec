"""The question writer on whole papers: settings, references, refusals, bad input, other languages, order."""

import re
import sys

import pytest

from sciqag_lib.errors import InputError
from sciqag_lib.question_writer import parsing
from sciqag_lib.question_writer.clauses import find_clause
from sciqag_lib.question_writer.parsing import parse_sentences
from sciqag_lib.question_writer.ranking import score_written
from sciqag_lib.question_writer.references import find_open, name_references
from sciqag_lib.question_writer.results import Refused, Written
from sciqag_lib.question_writer.screening import REASONS, find_reason, strip_brackets, strip_citations
from sciqag_lib.question_writer.setting import Spelling, choose_setting, find_phrases, find_settings
from sciqag_lib.question_writer.verbs import agree, inflect
from sciqag_lib.question_writer.writer import RULES, write_questions
from sciqag_lib.records.papers import Paper, Section
from sciqag_lib.text.sentences import split_sentences

LONG = "The frost was strong " + "and the wind was cold " * 40 + "in May."


def write(
    text: str, title: str = "Frost Damage in Apple Orchards", heading: str = "Results"
) -> list[Written | Refused]:
    paper = Paper("10.1/a", text, "", title=title, sections=[Section(heading, 0, len(text))])
    return write_questions(split_sentences(text), paper)


def list_best(text: str, **more: str) -> list[str]:
    """The best question of each sentence, or the reason against it."""
    best: dict[tuple[int, int], str] = {}
    for one in write(text, **more):
        best.setdefault(one.span, one.question if isinstance(one, Written) else one.reason)
    return list(best.values())


# The setting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Wood Density in Classical Violins: A Survey", ["in classical violins"]),
        ("Sleep and Memory: Evidence among Older Adults", ["among older adults"]),
        ("Gene Expression during Early Limb Development", ["during early limb development"]),
        ("Eggs of Schistosoma mansoni in Human Stool", ["in human stool"]),
        ("Advances in Yeast", []),  # no setting but a topic
        ("Belief in Ghosts", []),
        ("A Role of Zinc in Preventing Rust", []),
        ("Assays in Discriminating Children with Tuberculosis", []),
        ("A New Species of Frog", []),
        ("Growth in a Novel Medium", []),
        ("Signals in Solution", []),  # one plain word says too little
        ("Tumors in Mice", ["in mice"]),
    ],
)
def test_find_phrases(title: str, expected: list[str]) -> None:
    assert find_phrases(title, Spelling("we saw the wood of classical violins and human stool")) == expected


def test_a_setting_keeps_the_spelling_of_names() -> None:
    spelling = Spelling("beds in the Levant, mice of the strain Pn.p lived there, and cancer was rare.")
    assert find_phrases("Settlement in the Levant", spelling) == ["in the Levant"]
    assert find_phrases("Fate of Cells in Pn.p Lines", spelling) == ["in Pn.p lines"]


def test_settings_come_from_the_title_and_then_from_whom_the_abstract_names_twice() -> None:
    abstract = "We followed patients with asthma. Many patients with asthma slept badly. Some children with colds did."
    paper = Paper("10.1/a", "E. coli grew.", "", abstract=abstract, title="Sleep in Winter Camps and Escherichia coli")
    assert find_settings(paper, Spelling(abstract)) == ["in patients with asthma", "in Escherichia coli"]


@pytest.mark.parametrize(
    ("question", "sentence", "expected"),
    [
        ("why did yields fall", "Yields fell because of rain.", "in apple orchards"),
        ("why did apple yields fall", "Apple yields fell because of rain.", ""),  # named
        ("why did yields fall", "In the orchard, yields fell because of rain.", ""),  # named by the answer
        ("why did mice die", "The mice died because of cold.", ""),  # another organism than the paper's
        ("why did it fail", "This failed in S. cerevisiae because of heat.", ""),
    ],
)
def test_choose_setting(question: str, sentence: str, expected: str) -> None:
    assert choose_setting(question, sentence, ["in apple orchards"]) == expected


def test_the_setting_opens_the_question_where_nothing_names_it() -> None:
    assert list_best("Most buds died because of a late frost in May.") == [
        "In apple orchards, why did most buds die?",
    ]
    assert list_best("In Norway, most buds died because of a late frost.") == ["In Norway, why did most buds die?"]
    (written,) = write("Most buds died because of a late frost in May.")
    assert (written.rule, written.setting) == ("cause", "in apple orchards")


# References ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("This kills buds.", ["This"]),
        ("The mutants grew slowly.", ["mutants"]),
        ("The two groups of mice grew slowly.", []),
        ("The frost killed buds.", []),  # the title explains it
        ("The mutants that lack a tail grew slowly.", []),
        ("Its roots were long.", ["Its"]),
        ("Oak trees shed their leaves.", []),
        ("The size and color of leaves vary.", []),
        ("Similar roots were found.", ["Similar"]),
        ("Roots similar to those of oak were found.", []),
        ("That group had 11 cases.", ["That"]),
        ("There is a gap in the bark of oaks.", []),
        ("We saw oaks.", ["We"]),
    ],
)
def test_find_open(sentence: str, expected: list[str]) -> None:
    assert [token.text for token in find_open(next(parse_sentences([sentence])), {"frost"})] == expected


@pytest.mark.parametrize(
    ("before", "sentence", "expected"),
    [
        ("We grew oak seedlings in pots.", "The seedlings died.", "The oak seedlings died."),
        ("Late frost is bad for buds.", "It also kills moss.", "Late frost also kills moss."),
        ("Late frost and hail damage buds.", "They kill moss.", None),  # who?
        ("We grew oak seedlings and pine seedlings.", "The seedlings died.", None),  # which?
        ("Rain helps the growth of moss.", "It also kills slugs.", None),  # two nouns of its number
        ("We grew cacti in pots.", "The seedlings died.", None),
        ("The two seedlings grew.", "The seedlings died.", None),  # no name there either
    ],
)
def test_name_references(before: str, sentence: str, expected: str | None) -> None:
    first, second = parse_sentences([before, sentence])
    assert name_references(second, first, frozenset()) == expected


def test_what_is_not_named_is_refused_and_what_is_named_is_asked_about() -> None:
    assert list_best("The mutants died because they lacked an iron pump.") == ["open_reference"]
    text = "There were many slow mutants in May. The mutants died in June because of a late frost."
    assert list_best(text) == ["no_rule", "In apple orchards, why did the slow mutants die in June?"]


def test_a_name_from_the_sentence_before_is_marked_and_none_is_taken_across_paragraphs() -> None:
    text = "There were many slow mutants in May.{}The mutants died in June because of a late frost."
    near = [one for one in write(text.format(" ")) if isinstance(one, Written)]
    assert [one.features["answer_points"] for one in near] == [1.0]
    assert list_best(text.format("\n"))[1] == "open_reference"


def test_abbreviations_are_written_out_as_the_paper_defines_them() -> None:
    text = "Late spring frost (LSF) is common. LSF reduces the fruit set of young apple trees."
    assert list_best(text)[1] == "How does late spring frost affect the fruit set of young apple trees?"


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("Late frost kills the buds of most apple trees.", ""),
        (LONG, "too_long"),
        ("Der Frost ist im Mai für die Blüten der Bäume sehr schädlich.", "not_english"),
        ("El frío de mayo es la causa de la muerte de las flores.", "not_english"),
        ("Le gel de mai est la cause de la mort des fleurs.", "not_english"),
        ("Il freddo di maggio è la causa della morte dei fiori.", "not_english"),
        ("五月の霜はりんごの花を枯らす。", "not_english"),
        ("Effects of the frost on apple trees", "not_a_sentence"),
        ("and the frost was late in most of the years.", "not_a_sentence"),
        ("Is the frost a cause of the loss of buds in May?", "not_a_sentence"),
        ("(A) The buds of apple trees after the frost.", "caption_or_row"),
        ("Trees | of 1999 | in the valley | and 4.", "caption_or_row"),
        ("The frost was late.", "too_short"),
        ("The x = 4a + 3b - 12c / (2d + 1.55) × 10^−4 is the sum.", "symbols"),
        ("The frost (of May kills the buds of apple trees.", "unbalanced_brackets"),
        ("The frost kills the “buds of apple trees in May.", "unbalanced_brackets"),
        ("The frost kills buds, as Figure 2 shows for the trees.", "points_elsewhere"),
        ("The frost and the hail cost 4% and 9%, respectively.", "points_elsewhere"),
        ("In this study, the frost was the cause of most losses.", "points_elsewhere"),
        ("The frost of Experiment 2 was the cause of losses.", "points_elsewhere"),
    ],
)
def test_find_reason(sentence: str, reason: str) -> None:
    assert find_reason(sentence) == reason


@pytest.mark.parametrize(
    ("text", "heading", "reason"),
    [
        ("The frost is due because of the funding by the state.", "Funding", "skipped_section"),
        ("Buds were frozen because of their use in the test.", "Materials and Methods / Buds", "procedure"),
        ("Colder and colder nights of May in the valley.", "Results", "no_clause"),
        ("A late frost kills many buds, and hail breaks the twigs of old trees.", "Results", "two_statements"),
        ("Frost kills buds because they are wet; hail breaks twigs of old trees.", "Results", "two_statements"),
        ("Late frost is common in the valleys of the north.", "Results", "no_rule"),
    ],
)
def test_each_refusal_has_its_reason(text: str, heading: str, reason: str) -> None:
    assert list_best(text, heading=heading) == [reason]


def test_captions_make_no_questions() -> None:
    assert list_best("Figure 2. Late frost kills the buds of trees because of ice.") == ["caption_or_row"] * 2


def test_a_question_that_names_nothing_of_the_paper_is_refused() -> None:
    assert list_best("The median age of the younger buyers was 31 years.", title="Tax Law") == ["too_general"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        ".",
        "( ( ( ( (.",
        LONG,
        "The " * 44 + "end.",
        "E = mc^2 and the x of y is [z] in (a (b (c) d) e) of the f.",
        "[[[[[[[[[[[[ of the and was in [1,2,3",
        "A\ud800 frost of the valley was in May because of cold.",
        "The frost [1] [2,3] (P < 0.05) kills (see [4]) the buds because because of of.",
    ],
)
def test_bad_input_neither_crashes_nor_invents(text: str) -> None:
    for one in write(text):
        assert isinstance(one, Written) or one.reason in REASONS


def test_hostile_text_takes_linear_time() -> None:
    spans = [(0, 200_000)]
    for text in ("(" * 200_000, "[1," * 66_666 + "  ", " (a" * 66_666 + "  ", "A-" * 100_000):
        assert [one.reason for one in write_questions(spans, Paper("10.1/a", text, ""))][0] in REASONS


# The result ----------------------------------------------------------------------------------------------------------


def test_results_follow_the_sentences_and_the_best_question_comes_first() -> None:
    text = "Late frost kills moss. Salt reduced the root growth of apple trees by 40% because it binds water."
    results = write(text)
    assert results[0] == Refused((0, 22), "too_short")
    assert all(one.span == (23, len(text)) for one in results[1:])
    scores = [score_written(one) for one in results[1:] if isinstance(one, Written)]
    assert len(scores) > 1 and scores == sorted(scores, reverse=True)
    assert {one.rule for one in results[1:]} <= {name for name, _ in RULES}


def test_features_are_flat_numbers() -> None:
    (written,) = write("Most buds died because of a late frost in May.")
    assert set(map(type, written.features.values())) == {float}
    assert written.features["has_setting"] == 1.0 and written.features["words"] == 8.0


def test_the_same_sentences_give_the_same_questions() -> None:
    text = "Late frost reduces the fruit set of young trees. It was cold. Yields fell by 12% because of hail."
    assert write(text) == write(text)


def test_a_sentence_is_read_alike_alone_and_among_others() -> None:
    text = "Yields of the orchard fell by 12% because of hail."
    alone, among = list_best(text), list_best(f"Nights were cold in May of that year. {text}")
    assert among[1:] == alone == ["Why did yields of the orchard fall by 12%?"]


def test_brackets_leave_the_question_and_stay_in_the_answer() -> None:
    sentence = "Salt [3,4] reduced growth (P < 0.05 (two-sided)) of roots [12–14]."
    assert strip_brackets(sentence) == "Salt reduced growth of roots."
    assert strip_citations(sentence) == "Salt reduced growth (P < 0.05 (two-sided)) of roots."
    assert strip_brackets("Higher scores predicted lower belief, β = −.13, p = .02.") == (
        "Higher scores predicted lower belief."
    )


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Frost kills buds (Figure 2) and moss (see Table S1 and Fig. 3A).", "Frost kills buds and moss."),
        ("Frost kills buds (data not shown).", "Frost kills buds."),
        ("Frost kills buds (P < 0.05; Figure 2).", "Frost kills buds (P < 0.05; Figure 2)."),  # a statistic stays
        ("Frost kills buds (of plums).", "Frost kills buds (of plums)."),
    ],
)
def test_brackets_that_only_point_are_no_part_of_the_answer(sentence: str, expected: str) -> None:
    assert strip_citations(sentence) == expected


def test_a_question_that_two_sentences_answer_is_refused() -> None:
    text = "The median yield of apple trees was 9 tons. The median yield of apple trees was 4 tons."
    assert list_best(text) == ["asked_twice", "asked_twice"]


def test_no_question_asks_yes_or_no_or_holds_what_is_no_word_of_the_sentence() -> None:
    text = (
        "Late frost reduces the fruit set of young trees. Yields of old trees were higher in clay soils than in sandy "
        "soils. Buds of the lower branches die when the soil freezes. Tree height was negatively correlated with age."
    )
    asking = set(
        "what why how when where under does do did is are was were affect differ between and conditions".split()
    )
    written = [one for one in write(text) if isinstance(one, Written)]
    assert len({one.span for one in written}) == 4
    for one in written:
        question = one.question.removeprefix("In apple orchards, ").rstrip("?").lower()
        assert re.match(r"(?:what|why|how|when|where|under what)\b", question)
        told = set(re.findall(r"\w+", text[slice(*one.span)].lower()))
        assert set(re.findall(r"\w+", question)) - asking - told <= {"reduce", "die", "tree", "correlate"}


# Parts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lemma", "tag", "expected"),
    [
        ("bind", "VBD", "bound"),
        ("prevent", "VBZ", "prevents"),
        ("lead", "VBN", "led"),
        ("frobnicate", "VBD", "frobnicated"),
    ],
)
def test_inflect(lemma: str, tag: str, expected: str) -> None:
    assert inflect(lemma, tag) == expected


def test_lemminflect_leaves_no_hooks_in_spacy() -> None:
    from spacy.tokens import Token

    inflect("bind", "VBD")
    assert not Token.has_extension("lemma") and not Token.has_extension("inflect")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The oaks lose their leaves.", "loses"),
        ("Oaks were old.", "was"),
        ("Oaks have grown.", "has"),
        ("Oaks may grow.", "may"),
        ("An oak grew.", "grew"),
    ],
)
def test_agree(sentence: str, expected: str) -> None:
    clause = find_clause(next(parse_sentences([sentence])))
    assert agree(clause.finite or clause.verb) == expected


@pytest.mark.parametrize(
    "sentence",
    ["Colder nights of May.", "Walk to the tree.", "It rained. It snowed in the north.", "Walking in woods."],
)
def test_a_text_without_one_main_clause_has_none(sentence: str) -> None:
    assert find_clause(next(parse_sentences([sentence]))) is None


def test_what_is_reported_is_asked_about() -> None:
    clause = find_clause(next(parse_sentences(["We found that late frost kills buds."])))
    assert (clause.subject.text, clause.verb.text) == ("frost", "kills")
    clause = find_clause(next(parse_sentences(["The tests could not show that late frost kills buds."])))
    assert clause.verb.text == "show"


def test_a_missing_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MODELS", ("no_such_model",))
    parsing.load_parser.cache_clear()
    try:
        with pytest.raises(InputError, match="no_such_model.*python -m spacy download en_core_web_sm"):
            parsing.load_parser()
        monkeypatch.setitem(sys.modules, "spacy", None)
        with pytest.raises(InputError, match=r"pip install spacy==3\.8\.18"):
            parsing.load_parser()
    finally:
        parsing.load_parser.cache_clear()
