"""Which calls judge a paper: its own pairs and the null baselines, each dimension with its context, all of it fitted.

Null baselines, beside the paper's "own" pairs: "other_paper", the pairs of the paper before it in the file, set
against this paper; "swapped", its own questions with each other's answers; "bound", its own questions pointed at a
figure. Each is made for the dimensions that must see the difference.

A paper longer than the context is judged on excerpts: the sentences that the pairs rest on (grounding.py) with as many
neighbours as fit.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sciqag_lib.checks.grounding import find_evidence, index_paper
from sciqag_lib.engines import Engine, Prompt
from sciqag_lib.inference.judge import Call, make_code
from sciqag_lib.inference.seeds import digest_of
from sciqag_lib.racar.judging import KINDS, WITHOUT_PAPER, Judging, begin_prompt, quote_paper, write_task
from sciqag_lib.records.papers import Paper, QAPair
from sciqag_lib.records.qa_records import read_usable

NULLS = {
    "other_paper": ("relevance", "completeness", "accuracy", "reasonableness"),
    "swapped": ("completeness", "accuracy"),
    "bound": ("agnosticism",),
}
ARMS = ("own", *NULLS)
LOOSE_PAIRS = 10  # pairs of a file without papers that are judged in one call
SPARE_TOKENS = 8  # two texts counted apart can have a few tokens less than together


@dataclass(frozen=True)
class Source:
    """Where a pair stands in the file."""

    record: str  # "record 17" or "line 3"
    doi: str  # as written; "" for a pair of a benchmark file
    place: int  # of the pair in its record, from 0


@dataclass(frozen=True)
class Item:
    """A paper with its pairs, or some pairs without a paper: what is on one ledger line."""

    item_id: str
    name: str  # for messages
    txt: str  # "" where there is no paper
    pairs: list[QAPair]
    sources: list[Source]  # one for each pair
    others: list[QAPair] = field(default_factory=list)  # pairs of another paper; [] where there is none
    with_nulls: bool = True

    def arms(self) -> dict[str, list[QAPair]]:
        """The paper's own pairs and those of each null baseline that can be made of them."""
        arms = {"own": self.pairs}
        if self.with_nulls and self.txt and self.others:
            arms["other_paper"] = self.others
        if self.with_nulls and self.txt and len({pair.answer for pair in self.pairs}) > 1:
            arms["swapped"] = swap_answers(self.pairs)
        if self.with_nulls:
            arms["bound"] = [QAPair(bind_question(pair.question), pair.answer) for pair in self.pairs]
        return arms

    def digest(self) -> str:
        return digest_of([self.txt, {arm: list_texts(pairs) for arm, pairs in self.arms().items()}])


@dataclass(frozen=True, kw_only=True)
class PairCall(Call):
    """Some pairs of one arm, on one dimension or on all of them; a baseline is not made for every dimension."""

    arm: str
    repeat: int
    block: str  # the quoted paper, "" where none is shown
    judged_on: str  # "paper", "excerpt" or "no paper"


def list_dimensions(item: Item, arm: str, judging: Judging) -> list[str]:
    """Those on which an arm is judged: what it is made for and, without a paper, what needs none."""
    wanted = [name for name in KINDS if name in judging.dimensions and (arm == "own" or name in NULLS[arm])]
    return [name for name in wanted if item.txt or name in WITHOUT_PAPER]


def list_texts(pairs: list[QAPair]) -> list[list[str]]:
    """Question and answer of each pair, as digests are made of them."""
    return [[pair.question, pair.answer] for pair in pairs]


def swap_answers(pairs: list[QAPair]) -> list[QAPair]:
    """Each question with an answer of another: all turned by the same number of places, by the first number that
    leaves the fewest answers as they were."""
    answers = [pair.answer for pair in pairs]
    turned = [answers[by:] + answers[:by] for by in range(1, len(pairs))]
    best = min(turned, key=lambda order: sum(a == b for a, b in zip(order, answers)))
    return [QAPair(pair.question, answer) for pair, answer in zip(pairs, best)]


def bind_question(question: str) -> str:
    """The question as somebody would ask who has the paper open.

    >>> bind_question("Why does ash raise the water demand?")
    'Why does ash raise the water demand in this study, as seen in Figure 2?'
    """
    return question.rstrip().rstrip("?.!？。！؟") + " in this study, as seen in Figure 2?"


def list_items(
    file_path: str | Path, judging: Judging, notes: list[str], limit: int | None = None
) -> Iterator[tuple[int, str, Item]]:
    """Position, id and item of each paper, and of each ten pairs that have none; `limit` counts items.

    Another paper's pairs are those of the last one before it with another text. Records of one pair with their paper's
    text may name one doi, or none, again and again: each is an item of its own.
    """
    if limit is not None and limit < 1:
        return
    recent: list[tuple[str, list[QAPair]]] = []  # the last two texts that differ, with their pairs
    seen: set[str] = set()
    for position, records in enumerate(_group_records(file_path, judging, notes)):
        first = records[0]
        pairs = [pair for record in records for pair in record.pairs]
        sources = [Source(record.where, record.doi, place) for record in records for place in range(len(record.pairs))]
        with_nulls = judging.null_papers is None or position < judging.null_papers
        if _is_loose(first):
            item_id, name = f"pairs#{first.where}", f"{first.where} to {records[-1].where}"
        else:
            item_id, name = first.key, first.name
            item_id = item_id if item_id and item_id not in seen else f"{item_id}#{first.where}"
            seen.add(item_id)
        others = next((found for text, found in reversed(recent) if text != first.txt), [])
        yield position, item_id, Item(item_id, name, first.txt, pairs, sources, others[: len(pairs)], with_nulls)
        if first.txt:
            recent = [entry for entry in recent if entry[0] != first.txt][-1:] + [(first.txt, pairs)]
        if position + 1 == limit:
            return


def _group_records(file_path: str | Path, judging: Judging, notes: list[str]) -> Iterator[list[Paper]]:
    """Each record alone, but single pairs without a paper that follow each other, as benchmark files hold them, ten
    together; in the order of the file."""
    loose: list[Paper] = []
    for record in read_usable(file_path, notes):
        record.txt = record.txt if record.txt.strip() else ""
        if not record.pairs:
            notes.append(f"{record.name}: no question-answer pair, so there is nothing to judge")
        elif not record.txt and not set(judging.dimensions) & set(WITHOUT_PAPER):
            notes.append(f"{record.name}: no text of a paper; only {WITHOUT_PAPER[0]} can be judged without one")
        else:
            if loose and (len(loose) == LOOSE_PAIRS or not _is_loose(record)):
                yield loose
                loose = []
            if _is_loose(record):
                loose.append(record)
            else:
                yield [record]
    if loose:
        yield loose


def _is_loose(record: Paper) -> bool:
    return not record.txt and len(record.pairs) == 1


# From an item to its calls -------------------------------------------------------------------------------------------


class CallPlanner:
    """The calls of one item, and their prompts; counts tokens with the engine's own tokenizer."""

    def __init__(self, item: Item, judging: Judging, engine: Engine) -> None:
        self.item, self.judging, self.engine = item, judging, engine
        self.arms = item.arms()
        quoted = [text for pairs in self.arms.values() for texts in list_texts(pairs) for text in texts]
        self.code = make_code([item.txt, *quoted])
        self.paper_block = quote_paper(judging, self.code, item.txt) if item.txt else ""
        self.paper_tokens = self.count_beginning(self.paper_block)

    def plan(self) -> list[PairCall]:
        """Those that show the paper first, one arm after the other, so that each prompt begins like the one before."""
        return [call for shows_paper in (True, False) for arm in self.arms for call in self._plan_arm(arm, shows_paper)]

    def _group_dimensions(self, arm: str, shows_paper: bool) -> list[tuple[str, ...]]:
        """The sets of dimensions that are asked together."""
        asked, wanted = self.judging.dimensions, list_dimensions(self.item, arm, self.judging)
        if self.judging.together and self.item.txt and len(asked) > 1:
            return [asked] if wanted and shows_paper else []
        return [(name,) for name in wanted if (name not in WITHOUT_PAPER) == shows_paper]

    def _plan_arm(self, arm: str, shows_paper: bool) -> Iterator[PairCall]:
        groups, wanted = self._group_dimensions(arm, shows_paper), list_dimensions(self.item, arm, self.judging)
        if not groups:
            return
        limit = self.engine.context_size // 2 if shows_paper else self.engine.context_size - self.count_beginning("")
        for places in self._split(arm, tuple(range(len(self.arms[arm]))), groups, limit - SPARE_TOKENS):
            block, judged_on, problem = self._choose_block(arm, places, groups, shows_paper)
            for repeat in range(self.judging.repeats if arm == "own" else 1):
                for dimensions in groups:
                    kept = tuple(name for name in dimensions if name in wanted)
                    shown = {"block": block, "judged_on": judged_on}
                    yield PairCall(dimensions, places, kept, problem, arm=arm, repeat=repeat, **shown)

    def _split(
        self, arm: str, places: tuple[int, ...], groups: list[tuple[str, ...]], limit: int
    ) -> list[tuple[int, ...]]:
        """All pairs in one call; halved where they and their scores would take more than `limit` tokens."""
        if len(places) == 1 or self._count_rest(arm, places, groups) <= limit:
            return [places]
        middle = (len(places) + 1) // 2
        return self._split(arm, places[:middle], groups, limit) + self._split(arm, places[middle:], groups, limit)

    def _choose_block(
        self, arm: str, places: tuple[int, ...], groups: list[tuple[str, ...]], shows_paper: bool
    ) -> tuple[str, str, str]:
        """The quoted paper, what of it that is, and why it cannot be judged on it."""
        room = self.engine.context_size - self._count_rest(arm, places, groups) - SPARE_TOKENS
        if not shows_paper:
            return "", "no paper", "" if self.count_beginning("") <= room else "pair_too_long"
        if self.paper_tokens <= room:
            return self.paper_block, "paper", ""
        quote, pairs = partial(quote_paper, self.judging, self.code, excerpt=True), self.arms[arm]
        text = cut_excerpt(
            self.item.txt, [pairs[place] for place in places], lambda text: self.count_beginning(quote(text)) <= room
        )
        return (quote(text), "excerpt", "") if text else ("", "excerpt", "pair_too_long")

    def count_beginning(self, block: str) -> int:
        """Tokens of the system prompt and the quoted paper."""
        return self.engine.count_tokens([self.engine.format(begin_prompt(self.judging, self.code, block))])[0]

    def _count_rest(self, arm: str, places: tuple[int, ...], groups: list[tuple[str, ...]]) -> int:
        """Tokens of what follows the paper and of the reply, of the longest of the calls."""
        pairs = [self.arms[arm][place] for place in places]
        tasks = [write_task(self.judging, self.code, dimensions, pairs, again=True) for dimensions in groups]
        counts = self.engine.count_tokens(tasks)
        return max(
            count + self.judging.reply_room(dimensions, len(places)) for count, dimensions in zip(counts, groups)
        )

    def write_task(self, call: PairCall, places: list[int], again: bool = False) -> str:
        return write_task(self.judging, self.code, call.dimensions, [self.arms[call.arm][at] for at in places], again)

    def write_prompt(self, call: PairCall, places: list[int], again: bool = False) -> Prompt:
        """The complete prompt about some of the call's pairs."""
        user = "\n".join(part for part in (call.block, self.write_task(call, places, again)) if part)
        beginning = begin_prompt(self.judging, self.code, "")
        return Prompt(user, beginning.system, json_schema=self.judging.make_schema(call.dimensions, len(places)))


def cut_excerpt(txt: str, pairs: list[QAPair], fits: Callable[[str], bool]) -> str:
    """The sentences of the paper that the pairs rest on, with as many neighbours on both sides as fit; where not even
    they fit, some of each pair's; "" where nothing does. A text that no pair rests on is cut at its end."""
    index = index_paper(txt)
    starts = [start for start, _ in index.spans]
    evidence = [
        [bisect_right(starts, start) - 1 for start, _ in find_evidence(f"{question}\n{answer}", index)[0]]
        for question, answer in list_texts(pairs)
    ]
    depth = max((len(numbers) for numbers in evidence), default=0)
    seeds = [numbers[at] for at in range(depth) for numbers in evidence if at < len(numbers)] or [0]
    seeds = list(dict.fromkeys(seeds))

    def render(radius: int, chosen: list[int]) -> str:
        near = {number + by for number in chosen for by in range(-radius, radius + 1)}
        return _join_sentences(txt, index.spans, near & set(range(len(index.spans))))

    if fits(render(0, seeds)):
        return render(_find_largest(len(index.spans), lambda radius: fits(render(radius, seeds))), seeds)
    number = _find_largest(len(seeds) - 1, lambda count: fits(render(0, seeds[:count])))
    return render(0, seeds[:number])


def _find_largest(high: int, holds: Callable[[int], bool]) -> int:
    """The largest number up to `high` for which `holds`, which does for 0 and, from some number on, no more."""
    return bisect_left(range(1, high + 1), True, key=lambda number: not holds(number))


def _join_sentences(txt: str, spans: list[tuple[int, int]], numbers: set[int]) -> str:
    """The sentences with these numbers as they stand in the text, "[...]" where others are left out."""
    if not numbers:
        return ""
    starts = sorted(number for number in numbers if number - 1 not in numbers)  # of runs of neighbours
    ends = sorted(number for number in numbers if number + 1 not in numbers)
    text = "\n[...]\n".join(txt[spans[start][0] : spans[end][1]] for start, end in zip(starts, ends))
    return ("[...]\n" if starts[0] > 0 else "") + text + ("\n[...]" if ends[-1] < len(spans) - 1 else "")
