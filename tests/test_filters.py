"""Filters pair by pair: each rule on hand-made pairs, all reasons in their order, settings that are refused."""

import math

import pandas as pd
import pytest

from sciqag_lib.checks import rules as checks
from sciqag_lib.dataset.filters import PAIR_REASONS, REASONS, make_filter
from sciqag_lib.errors import InputError
from sciqag_lib.racar.judging import DIMENSIONS

FULL = dict.fromkeys(DIMENSIONS, 3.0)


def reasons(settings, question="Why does zinc melt?", answer="It is warm.", scores=FULL, check=(None, None)):
    """`check`: rejected_by and support."""
    row = {f"score_{name}": scores.get(name, math.nan) for name in DIMENSIONS}
    row |= {"question": question, "answer": answer, "rejected_by": check[0], "support": check[1]}
    [hits] = make_filter(settings).find_hits(pd.DataFrame([row]).astype({"support": float})).to_dict("records")
    assert list(hits) == list(PAIR_REASONS)
    return [reason for reason, hit in hits.items() if hit]


def test_no_settings_keep_all():
    assert reasons({}, answer="As this study shows.", scores={}) == []
    assert make_filter({}).describe() == "all kept"


def test_the_published_test_rule():
    assert reasons({"min_score": 3}) == []
    assert reasons({"min_score": 3}, scores={**FULL, "accuracy": 2.99}) == ["score_accuracy"]
    assert reasons({"min_score": 3}, scores={**FULL, "relevance": 1, "accuracy": 2}) == [
        "score_relevance",
        "score_accuracy",
    ]
    assert make_filter({"min_score": 3}).describe().startswith("every dimension at least 3;")


def test_a_threshold_for_each_dimension():
    rule = {"min_score": {"accuracy": 2, "relevance": 2.5}}
    assert reasons(rule, scores={"accuracy": 2, "relevance": 2}) == ["score_relevance"]
    assert make_filter(rule).dimensions == ["relevance", "accuracy"]  # in RACAR's order


def test_missing_scores_are_dropped_or_kept_as_is_asked():
    rest = {"accuracy": 1.0}
    assert reasons({"min_score": 3}, scores=rest) == ["unscored", "score_accuracy"]
    assert reasons({"min_score": 3, "missing": "keep"}, scores={}) == []
    assert reasons({"min_score": 3, "missing": "keep"}, scores=rest) == ["score_accuracy"]


def test_pairs_that_speak_of_their_paper():
    loose = "The work function of zinc is 4.3 eV."  # "the work" to the published expression, which is the loose form
    assert reasons({"context_bound": "strict"}, answer="As this study shows.") == ["context_bound"]
    assert reasons({"context_bound": "strict"}, answer=loose) == []
    assert reasons({"context_bound": "loose"}, answer=loose) == ["context_bound"]
    assert reasons({"context_bound": "strict"}, question="What did this paper find?") == ["context_bound"]


def test_checks_and_support():
    check = ("wrong_number duplicate", 0.39)
    assert reasons({"checks": ["wrong_number"]}, check=check) == ["check_wrong_number"]
    assert reasons({"checks": "all", "min_support": 0.4}, check=check) == [
        "check_duplicate",
        "check_wrong_number",
        "low_support",
    ]
    assert reasons({"min_support": 0.39}, check=check) == []
    assert reasons({"min_support": 0.4}, check=("", None)) == []  # nothing is claimed, or there is no paper
    assert reasons({"checks": "all"}) == ["unchecked"]
    assert reasons({"checks": "all", "missing": "keep"}) == []


def test_reasons_stand_in_the_order_of_the_list():
    rule = {"min_score": 3, "context_bound": "strict", "checks": "all", "min_support": 1}
    found = reasons(rule, scores={"accuracy": 1}, answer="In this study it is.", check=(" ".join(checks.REASONS), 0.0))
    assert found == [reason for reason in PAIR_REASONS if reason in found]
    assert len(found) > 5 and list(REASONS)[: len(PAIR_REASONS)] == list(PAIR_REASONS)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"min_scores": 3}, "unknown key 'min_scores' \\(did you mean 'min_score'"),
        ({"min_score": 4}, "from 1 to 3, the judge's scale, found 4"),
        ({"min_score": 0}, "found 0"),
        ({"min_score": "3"}, "found '3'"),
        ({"min_score": True}, "found True"),
        ({"min_score": {"precision": 3}}, "found 'precision'"),
        ({"context_bound": True}, "context_bound: expected None or 'strict' or 'loose', found True"),
        ({"checks": "wrong_number"}, "checks: expected \"all\" or a list .* found 'wrong_number'"),
        ({"checks": ["wrong_numbers"]}, "found 'wrong_numbers'"),
        ({"checks": 5}, "checks: expected .* found 5"),
        ({"checks": True}, "checks: expected .* found True"),
        ({"min_support": 40}, "min_support: .*found 40"),
        ({"missing": "ignore"}, "missing: expected 'drop' or 'keep', found 'ignore'"),
    ],
)
def test_settings_that_cannot_be_meant(settings, message):
    with pytest.raises(InputError, match="test_filter.*" + message):
        make_filter(settings, "test_filter", 3)
