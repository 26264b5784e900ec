"""Token F1, ROUGE-L and embedding similarity on texts whose values are computed by hand, and golden ROUGE values."""

import math

import pytest

from sciqag_lib.metrics.text_overlap import WholeWords, WordScorer, score_references
from tests.fake_encoder import make_embedder


def score(reference, answer):
    return WordScorer().score(reference, answer)


def test_values_by_hand():
    """Six words against four, three in common: precision 3/4, recall 3/6, F1 = 2 * 3 / 10; "the cat on" in order."""
    found = score("The cat sat on the mat", "the cat lay on")
    assert found["token_f1"] == pytest.approx(0.6) and found["rouge_l"] == pytest.approx(0.6)


def test_order_counts_for_rouge_l_alone():
    """ "b a" against "a b": both words shared, but only one of them in order."""
    found = score("alpha beta", "beta alpha")
    assert found["token_f1"] == 1.0 and found["rouge_l"] == pytest.approx(0.5)


def test_the_example_of_lins_paper():
    """C.-Y. Lin, ROUGE (2004), section 3: reference "police killed the gunman", candidates "police kill the gunman"
    (ROUGE-L 3/4) and "the gunman kill police" (2/4)."""
    assert score("police killed the gunman", "police kill the gunman")["rouge_l"] == pytest.approx(0.75)
    assert score("police killed the gunman", "the gunman kill police")["rouge_l"] == pytest.approx(0.5)


def test_a_repeated_word_counts_as_often_as_it_is_in_both():
    """1 of 1 and 1 of 3: F1 = 2 * 1 / 4."""
    assert score("iron", "iron iron iron")["token_f1"] == pytest.approx(0.5)


@pytest.mark.parametrize("reference, answer", [("iron rusts", ""), ("", "iron"), ("iron", "?!"), ("iron", "copper")])
def test_nothing_in_common_is_0(reference, answer):
    assert score(reference, answer) == {"token_f1": 0.0, "rouge_l": 0.0}


def test_numbers_are_whole_and_letters_of_any_script_count():
    assert WholeWords().tokenize("The α-Phase of H2O forms at 21.4 °C, not 2,140; it's 3.") == [
        "the",
        "α-phase",
        "of",
        "h2o",
        "forms",
        "at",
        "21.4",
        "c",
        "not",
        "2,140",
        "it's",
        "3",
    ]
    assert score("21.4", "21.5")["token_f1"] == 0.0 and score("β", "β")["token_f1"] == 1.0
    assert score("β", "β")["rouge_l"] == 0.0  # the library's own words, kept for numbers published elsewhere


def test_each_arm_has_its_scores_and_a_question_without_reference_none():
    vectors = {"": [1, 0], "ref": [1, 0], "own": [1, 0], "far": [0, 1], "q": [1, 1]}
    entries = [
        ("first", "ref", {"own": "own", "other": "far", "question": "q"}),
        ("second", "", {"own": "own", "question": "q"}),
        ("third", "ref", {"own": "", "question": "ref"}),
    ]
    found = dict(score_references(iter(entries), make_embedder(vectors)))
    assert found["second"] == {} and list(found) == ["first", "second", "third"]
    first = {arm: values["embedding_similarity"] for arm, values in found["first"].items()}
    assert first == {
        "own": pytest.approx(1),
        "other": pytest.approx(0),
        "question": pytest.approx(math.sqrt(0.5), abs=1e-3),
    }
    assert found["third"]["own"] == {"token_f1": 0.0, "rouge_l": 0.0, "embedding_similarity": 0.0}
    assert found["third"]["question"]["token_f1"] == 1.0
    plain = dict(score_references(iter(entries)))
    assert plain["first"]["own"] == {"token_f1": 0.0, "rouge_l": 0.0}


def test_blocks_change_nothing():
    entries = [(number, f"word{number} same", {"own": f"word{number} other"}) for number in range(150)]
    found = list(score_references(entries, make_embedder()))
    assert [number for number, _ in found] == list(range(150))
    assert all(scores["own"]["token_f1"] == pytest.approx(0.5) for _, scores in found)
    alone = dict(score_references([entries[140]], make_embedder()))
    assert dict(found)[140]["own"] == pytest.approx(alone[140]["own"], abs=1e-6)
