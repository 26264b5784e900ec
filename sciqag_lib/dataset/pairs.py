"""Every pair of a build, kept or dropped, in one table: pairs.parquet.

Rows are in the order of the file (an absent value is null); `split` is that of the pair's paper, also of a pair that
was dropped, and a pair is kept where `dropped_by` is null:

    record,doi,pair,title,journal,category,licence,question,answer,evidence,score_relevance,...,split,dropped_by
    0,10.1016-j.ab.2008.07.041.json,3,,,"Chemistry, Analytical",,How did ...?,It ...,,3.0,...,test,

- `record`: its place in the file, from 0; `pair`: the pair's place in the record, from 0, as 05_evaluation counts.
- `doi`: as written; "" for a pair that names no paper. `category`: one of categories.py, or null.
- `evidence`: the paper's sentences that the answer rests on, where an evidence.json beside the file has them.
- `score_*`: the mean over a judge's repeats, on the judge's scale.
- `dropped_by`: one of filters.REASONS, the first that applies.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sciqag_lib.errors import InputError
from sciqag_lib.racar.judging import DIMENSIONS
from sciqag_lib.tables import make_schema

if TYPE_CHECKING:
    import pandas as pd

FILE = "pairs.parquet"
SPLITS = ("train", "test")
ROW_GROUP = 10_000  # rows: some 10 MB of text at a time for those who stream the file
COLUMNS = {
    "record": "whole",
    "doi": "text",
    "pair": "whole",
    "title": "text",
    "journal": "text",
    "category": "text",
    "licence": "text",
    "question": "text",
    "answer": "text",
    "evidence": "text",
    **{f"score_{dimension}": "real" for dimension in DIMENSIONS},
    "split": "text",
    "dropped_by": "text",
}


def write_pairs(pairs: "pd.DataFrame", file: IO[bytes], columns: Sequence[str] = tuple(COLUMNS)) -> None:
    """These of COLUMNS as Parquet."""
    import pyarrow
    import pyarrow.parquet

    schema = make_schema({name: COLUMNS[name] for name in columns})
    table = pyarrow.Table.from_pandas(pairs, schema, preserve_index=False).replace_schema_metadata()
    pyarrow.parquet.write_table(table, file, row_group_size=ROW_GROUP, compression="zstd")


def read_pairs(path: str | Path) -> "pd.DataFrame":
    """All rows, the dropped ones too. InputError: the file cannot be read, or is not such a table."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); give the {FILE} that 06_build_dataset wrote"
        ) from error
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error}); build it again") from error
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(
            f"{path}: expected the pairs of a build, missing the columns {', '.join(missing)}; "
            f"give the {FILE} that 06_build_dataset wrote"
        )
    return table.select(list(COLUMNS)).to_pandas()
