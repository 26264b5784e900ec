"""Tables of scores: what is read, and each way in which a row or a file can be at fault."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from sciqag_lib.agreement.score_table import read_scores
from sciqag_lib.errors import InputError

HEADER = "paper,pair,dimension,rater,kind,score"


def write(path, *rows: str, header: str = HEADER):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_scores_are_read_by_dimension_and_rater(tmp_path):
    path = write(
        tmp_path / "s.csv",
        "10.1/b,2,accuracy,ann,expert,3,40",
        "10.1/b,10,accuracy,ann,expert,1,12",
        '10.1/a,1,Accuracy," ann ",Expert,2.5,',
        "10.1/b,2,accuracy,gpt,judge,2,40",
        "10.1/a,1,relevance,gpt,judge,,",
        header=HEADER + ",answer_words",
    )
    table = read_scores(path)
    assert table.pairs == [("10.1/a", "1"), ("10.1/b", "2"), ("10.1/b", "10")]
    assert table.papers.tolist() == [0, 1, 1] and table.raters == {"ann": "expert", "gpt": "judge"}
    assert table.of_kind("judge") == ["gpt"]
    np.testing.assert_array_equal(table.ratings("accuracy", ["ann", "gpt"]), [[2.5, math.nan], [3, 2], [1, math.nan]])
    assert np.isnan(table.ratings("relevance", ["gpt"])).all()
    np.testing.assert_array_equal(table.lengths, [math.nan, 40, 12])
    assert table.notes[0] == "rows without a score, counted as not scored: 1" and not table.bad


def test_parquet_and_several_files_give_the_same_table(tmp_path):
    rows = [
        ("10.1/a", number, "accuracy", rater, kind, score)
        for number, (rater, kind, score) in enumerate(
            [("ann", "expert", 3.0), ("ann", "expert", math.nan), ("gpt", "judge", 1.0)]
        )
    ]
    frame = pd.DataFrame(rows, columns=HEADER.split(","))
    frame.to_csv(tmp_path / "all.csv", index=False)
    frame.assign(pair=frame.pair.astype(float), more="text").to_parquet(tmp_path / "all.parquet")
    frame[:2].to_csv(tmp_path / "experts.csv", index=False)
    frame[2:].to_parquet(tmp_path / "judge.parquet")
    tables = [
        read_scores(tmp_path / "all.csv"),
        read_scores(str(tmp_path / "all.parquet")),
        read_scores([tmp_path / "judge.parquet", tmp_path / "experts.csv"]),
    ]
    for table in tables:
        assert table.pairs == [("10.1/a", "0"), ("10.1/a", "2")] and not table.bad
        np.testing.assert_array_equal(table.ratings("accuracy", ["ann", "gpt"]), [[3, math.nan], [math.nan, 1]])


def test_a_paper_is_the_same_in_every_spelling_of_its_doi(tmp_path):
    path = write(
        tmp_path / "s.csv", "10.1016/J.AB.1,0,accuracy,ann,expert,3", "10.1016-j.ab.1.json,0,accuracy,gpt,judge,2"
    )
    assert read_scores(path).pairs == [("10.1016/J.AB.1", "0")]


@pytest.mark.parametrize("row, column, message", [
    ("10.1/a,0,accuracy,ann,expert,4", "score", "expected a number from 1 to 3, found '4'; was it scored from 1 to 5"),
    ("10.1/a,0,accuracy,ann,expert,0", "score", "expected a number from 1 to 3, found '0'"),
    ("10.1/a,0,accuracy,ann,expert,99", "score", "expected a number from 1 to 3, found '99'"),
    ("10.1/a,0,accuracy,ann,expert,good", "score", "expected a number from 1 to 3, found 'good'"),
    ("10.1/a,0,accuracy,ann,expert,nan", "score", "found 'nan'"),
    ("10.1/a,0,accuracy,ann,expert,inf", "score", "found 'inf'"),
    ("10.1/a,0,acuracy,ann,expert,3", "dimension", "expected one of relevance, agnosticism, .*found 'acuracy'"),
    ("10.1/a,0,accuracy,ann,human,3", "kind", "expected one of expert, judge, found 'human'"),
    ("10.1/a,0,accuracy,known,judge,3", "kind", "'known' is called expert in rows above and judge here"),
    (",0,accuracy,ann,expert,3", "paper", "empty cell"),
    ("10.1/a,,accuracy,ann,expert,3", "pair", "empty cell"),
    ("10.1/a,0,accuracy, ,expert,3", "rater", "empty cell"),
    ("10.1/a,0,accuracy,ann", "kind", "expected one of expert, judge, found ''"),
])  # fmt: skip
def test_a_row_at_fault_is_named_and_the_rest_goes_on(tmp_path, row, column, message):
    path = write(tmp_path / "s.csv", "10.1/a,0,accuracy,known,expert,3", "", row, "10.1/a,1,accuracy,known,expert,2")
    table = read_scores(path)
    [bad] = table.bad
    assert (bad.file, bad.record, bad.field) == (str(path), "line 4", column)
    assert re.search(message, bad.message)
    assert table.ratings("accuracy", ["known"])[:, 0].tolist() == [3, 2] and table.raters == {"known": "expert"}


def test_a_score_of_five_is_right_on_the_scale_of_five(tmp_path):
    path = write(tmp_path / "s.csv", "10.1/a,0,accuracy,ann,expert,5")
    assert read_scores(path, scale=5).ratings("accuracy", ["ann"]).tolist() == [[5]]
    with pytest.raises(InputError, match="no score in it can be used; the first of 1 rows at fault: .*line 2.*'score'"):
        read_scores(path)
    with pytest.raises(InputError, match="scale: expected 3 or 5, .*found 10"):
        read_scores(path, scale=10)


def test_a_score_given_twice_counts_once_and_two_different_ones_do_not_count(tmp_path):
    path = write(tmp_path / "s.csv", "10.1/a,0,accuracy,ann,expert,3", "10.1/a,0,accuracy,ann,expert,3.0",
                 "10.1/a,1,accuracy,ann,expert,1", "10.1/a,1,accuracy,ann,expert,2", "10.1/a,1,accuracy,ann,expert,1",
                 "10.1/a,1,accuracy,ben,expert,3")  # fmt: skip
    table = read_scores(path)
    np.testing.assert_array_equal(table.ratings("accuracy", ["ann", "ben"]), [[3, math.nan], [math.nan, 3]])
    assert len(table.bad) == 1 and table.bad[0].record == "line 5" and "line 4; neither is used" in table.bad[0].message
    assert "scores that appear twice, counted once: 2" in table.notes
    assert "scores given again with another value, none of them used: 1" in table.notes


def test_a_wrong_length_leaves_the_score(tmp_path):
    path = write(
        tmp_path / "s.csv",
        "10.1/a,0,accuracy,ann,expert,3,many",
        "10.1/a,1,accuracy,ann,expert,2,30",
        "10.1/a,1,accuracy,ben,expert,2,31",
        header=HEADER + ",answer_words",
    )
    table = read_scores(path)
    assert [(bad.record, bad.field) for bad in table.bad] == [("line 2", "answer_words"), ("line 4", "answer_words")]
    assert table.ratings("accuracy", ["ann"]).tolist() == [[3], [2]] and table.lengths[1] == 30


def test_missing_dimensions_are_named(tmp_path):
    path = write(
        tmp_path / "s.csv",
        "10.1/a,0,accuracy,ann,expert,3",
        "10.1/a,0,relevance,ann,expert,3",
        "10.1/a,0,accuracy,gpt,judge,3",
    )
    assert read_scores(path).notes == [
        "nobody scored agnosticism, completeness, reasonableness",
        "judge 'gpt' gives no score for relevance",
    ]


def test_the_experts_mean_is_of_two_or_more_or_of_the_only_one(tmp_path):
    path = write(
        tmp_path / "s.csv",
        *(
            f"10.1/a,{pair},accuracy,{name},expert,{score}"
            for pair, name, score in (
                (0, "ann", 1),
                (0, "ben", 2),
                (1, "ann", 3),
                (2, "ben", 3),
                (3, "ann", 1),
                (3, "ben", 1),
                (3, "cat", 3),
            )
        ),
        "10.1/a,0,relevance,ann,expert,2",
    )
    table = read_scores(path)
    np.testing.assert_array_equal(table.experts_mean("accuracy"), [1.5, math.nan, math.nan, 5 / 3])
    np.testing.assert_array_equal(table.experts_mean("relevance"), [2, math.nan, math.nan, math.nan])
    assert np.isnan(table.experts_mean("completeness")).all()


# Files ---------------------------------------------------------------------------------------------------------------


def test_an_open_quotation_mark_is_named_and_swallows_nothing_unnoticed(tmp_path):
    path = write(
        tmp_path / "s.csv",
        "10.1/a,0,accuracy,ann,expert,3",
        '10.1/a,1,accuracy,"ann,expert,3',
        "10.1/a,2,accuracy,ann,expert,3",
    )
    with pytest.raises(InputError, match="EOF inside string"):
        read_scores(path)


def test_a_line_with_too_many_cells_is_named(tmp_path):
    path = write(tmp_path / "s.csv", "10.1/a,0,accuracy,ann,expert,3", "10.1/a,0,accuracy,ann, the elder,expert,3")
    with pytest.raises(InputError, match="Expected 6 fields in line 3, saw 7"):
        read_scores(path)


@pytest.mark.parametrize("content, message", [
    (b"", "cannot be read as CSV .*No columns"),
    (b"paper;pair;dimension;rater;kind;score\n", "divided by another character than a comma"),
    (b"paper,pair,dimension,rater,score\n1,2,3,4,5\n", "missing kind, found 'paper', 'pair'"),
    (HEADER.encode() + b",score\n", "each once, missing none, .*'score.1'"),
    (HEADER.encode() + b"\n", "no score in it can be used"),
    (HEADER.encode() + b"\n10.1/a,0,accuracy,J\xfcrg,expert,3\n", "can.t decode byte 0xfc"),
    (b'"paper,pair\n', "cannot be read as CSV"),
])  # fmt: skip
def test_a_csv_file_that_can_not_be_used_is_refused(tmp_path, content, message):
    path = tmp_path / "s.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_scores(path)
    assert str(path) in str(error.value)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = tmp_path / "s.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"\r\n10.1/a,0,accuracy,ann,expert,3\r\n")
    assert read_scores(path).ratings("accuracy", ["ann"]).tolist() == [[3]]


def test_other_files_that_can_not_be_used_are_refused(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    pd.DataFrame({"paper": ["10.1/a"]}).to_parquet(tmp_path / "narrow.parquet")
    for name, message in (
        ("broken.parquet", "cannot be read as Parquet"),
        ("narrow.parquet", "missing pair, dimens"),
        ("none.parquet", "cannot be read"),
        ("none.csv", "cannot be read .*No such file"),
    ):
        with pytest.raises(InputError, match=message):
            read_scores(tmp_path / name)


def test_a_row_of_parquet_is_named_by_its_number(tmp_path):
    rows = [("10.1/a", 0, "accuracy", "ann", "expert", 3), ("10.1/a", 1, "accuracy", "ann", "expert", 7)]
    pd.DataFrame(rows, columns=HEADER.split(",")).to_parquet(tmp_path / "s.parquet")
    [bad] = read_scores(tmp_path / "s.parquet").bad
    assert (bad.record, bad.field) == ("row 2", "score")


# The scores of 05_evaluation -----------------------------------------------------------------------------------------

JUDGED = "record,doi,pair,arm,dimension,repeat,scale,score,reasons,missing,judged_on,attempts"


def test_a_table_of_05_evaluation_is_a_judge_whose_repeats_count_by_their_mean(tmp_path):
    experts = write(
        tmp_path / "experts.csv",
        "10.1/a,0,accuracy,ann,expert,3",
        "10.1/a,1,accuracy,ann,expert,2",
        "record 2,0,accuracy,ann,expert,1",
    )
    judged = write(
        tmp_path / "scores.csv",
        "record 1,10.1/a,0,own,accuracy,0,1-3,3,good,,paper,1",
        "record 1,10.1/a,0,own,accuracy,1,1-3,2,fair,,paper,1",
        "record 1,10.1/a,0,swapped,accuracy,0,1-3,1,bad,,paper,1",
        "record 1,10.1/a,1,own,accuracy,0,1-3,,,no score,paper,3",
        "record 1,10.1/a,1,own,accuracy,1,1-3,1,bad,,paper,1",
        "record 1,10.1/a,0,own,relevance,0,1-3,,,no score,paper,3",
        "record 2,,0,own,accuracy,0,1-3,2,fair,,none,1",
        header=JUDGED,
    )
    pd.read_csv(judged).to_parquet(tmp_path / "scores.parquet")
    for path in (judged, tmp_path / "scores.parquet"):
        table = read_scores(experts, judges={"gpt": path})
        assert table.raters == {"ann": "expert", "gpt": "judge"} and not table.bad
        assert table.ratings("accuracy", ["gpt"])[:, 0].tolist() == [2.5, 1, 2]
        assert np.isnan(table.ratings("relevance", ["gpt"])).all()
    with pytest.raises(InputError, match="line 2, column scale: expected 1-5, found '1-3'"):
        read_scores(experts, scale=5, judges={"gpt": judged})
    with pytest.raises(InputError, match="experts.csv: expected the columns record, .*missing record, doi"):
        read_scores(experts, judges={"gpt": experts})
