"""Before anything is asked: which papers there are, how many tokens they have, what is cut, what a run will cost.

A row of plan.csv:

    position,doi,characters,paper_tokens,calls,prompt_tokens,new_tokens,cut_characters,status
    0,10.1371/journal.pone.0000217,41234,9871,1,6832,650,12044,to ask
"""

import csv
import hashlib
import os.path
import sys
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from sciqag_lib.engines import Engine, EngineError
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.generation.recipe import Recipe
from sciqag_lib.generation.strategies import STRATEGIES
from sciqag_lib.inference.forecast import COLUMNS, EXPECTED_FILL, SHOWN_ROWS, Plan, forecast_seconds
from sciqag_lib.inference.ledger import FingerprintMismatch, Ledger
from sciqag_lib.paths import write_atomic
from sciqag_lib.records.papers import Paper, read_papers_json


def text_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def scan_papers(file_path: str | Path, limit: int | None = None) -> Iterator[tuple[int, str, Paper | BadRecord | str]]:
    """Position, id and paper of each record; a bad record has its BadRecord, a duplicate a sentence, as the third.

    The id is the normalised DOI: two spellings of one DOI are one paper, and the first record of it counts.
    `limit` counts papers only.
    """
    seen: dict[str, int] = {}
    for position, entry in enumerate(read_papers_json(file_path)):
        if limit is not None and len(seen) >= limit:
            return
        if isinstance(entry, BadRecord):
            yield position, "", entry
            continue
        item_id = sys.intern(entry.key)  # the plan and the ledger then share one string
        if item_id in seen:
            yield (
                position,
                item_id,
                (f"record {position + 1} ({entry.doi}) has the DOI of record {seen[item_id] + 1} and is not asked"),
            )
            continue
        seen[item_id] = position
        yield position, item_id, entry


def iterate_papers(file_path: str | Path, limit: int | None = None) -> Iterator[tuple[int, str, Paper]]:
    """The papers of scan_papers alone."""
    return (entry for entry in scan_papers(file_path, limit) if isinstance(entry[2], Paper))


def plan_run(
    file_path: str | Path, output_dir: Path, engine: Engine, recipe: Recipe, ledger: Ledger, limit: int | None = None
) -> Plan:
    """Count every paper with the engine's own tokenizer, write plan.csv, and forecast tokens and time.

    Raises InputError where the file holds no paper, FingerprintMismatch where a finished paper's text changed.
    """
    plan = Plan(str(file_path), engine.context_size, recipe.context_size, engine.tokens_exact)
    plan.settings = {**recipe.fingerprint(engine), "seq_len": recipe.seq_len}
    with write_atomic(output_dir / "plan.csv") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for position, item_id, entry in tqdm(scan_papers(file_path, limit), desc="counting tokens", unit="paper"):
            if isinstance(entry, BadRecord):
                plan.bad_records.append(str(entry))
            elif isinstance(entry, str):
                plan.duplicates.append(entry)
            else:
                writer.writerow(_plan_paper(plan, position, item_id, entry, engine, recipe, ledger))
    if not plan.item_ids:
        detail = f"; the first of {len(plan.bad_records)} faults: {plan.bad_records[0]}" if plan.bad_records else ""
        raise InputError(f"{file_path}: holds no paper that can be asked{detail}")
    if plan.num_to_ask:
        plan.seconds = forecast_seconds(plan, engine)
    return plan


def _plan_paper(
    plan: Plan, position: int, item_id: str, paper: Paper, engine: Engine, recipe: Recipe, ledger: Ledger
) -> dict:
    plan.item_ids.append(item_id)
    row = dict.fromkeys(COLUMNS, 0) | {"position": position, "doi": paper.doi, "characters": len(paper.txt)}
    earlier = ledger.read(item_id)
    if earlier and earlier["digest"] != text_digest(paper.txt):
        raise FingerprintMismatch(
            f"{ledger.path}: the text of {paper.doi} is not the one its result was made from; "
            "use another output_dir, or the text as it was"
        )
    if ledger.finished(item_id):
        return row | {"status": f"{ledger.status(item_id)} before"}
    plan.num_to_ask += 1
    try:
        first_round = next(STRATEGIES[recipe.strategy](paper, recipe, engine))
    except StopIteration:  # nothing in it to ask about
        return row | {"status": "nothing to ask"}
    except InputError as error:
        return row | {"status": f"does not fit: {error}"}
    except EngineError:
        raise
    except Exception as error:  # a fault of ours: the run meets it again, and records it for this paper alone
        return row | {"status": f"internal error: {type(error).__name__}: {error}"}
    texts = [engine.format(request.prompt) for request in first_round.requests]
    counts = engine.count_tokens([paper.txt, *texts])
    rooms = [request.sampling.max_new_tokens for request in first_round.requests]
    new_tokens = int(EXPECTED_FILL * sum(rooms))
    plan.room = max(plan.room, *rooms)
    row |= {
        "paper_tokens": counts[0],
        "calls": len(texts),
        "prompt_tokens": sum(counts[1:]),
        "new_tokens": new_tokens,
        "cut_characters": first_round.cut_characters,
        "status": "to ask",
    }
    plan.prompt_tokens += row["prompt_tokens"]
    plan.fresh_tokens += _fresh_tokens(texts, counts[1:]) if engine.reuses_prefix else row["prompt_tokens"]
    plan.new_tokens += new_tokens
    plan.num_cut += bool(row["cut_characters"])
    if len(plan.shown) < SHOWN_ROWS or row["cut_characters"] and len(plan.shown) < 5 * SHOWN_ROWS:
        plan.shown.append(row)
    return row


def _fresh_tokens(texts: list[str], counts: list[int]) -> float:
    """Tokens of each prompt after what it has in common with the one before it."""
    fresh, before = 0.0, ""
    for text, count in zip(texts, counts):
        fresh += count * (1 - len(os.path.commonprefix([before, text])) / max(1, len(text)))
        before = text
    return fresh
