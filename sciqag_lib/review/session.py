"""One rater going through a review: where they are, what each key does, and what they may see by then.

Scores move on by themselves: to the next dimension, and after the last to the next pair that is open. Each step is in
the rater's file (scores.py) before the session shows it as taken. `view` is what the widget draws:

    {"place": 3, "total": 100, "scored": 2, "skipped": 1, "current": "relevance", "question": "...", "answer": None}

`answer` is None, and `paper` and `spans` too, as long as what is to be scored next is scored without it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sciqag_lib.review.pairs import DIMENSIONS, Review, ReviewPair
from sciqag_lib.review.scores import PairMarks, RaterFile, ReviewError
from sciqag_lib.text.sentences import Span

NEEDS_PAPER, NEEDS_ANSWER = DIMENSIONS[1], DIMENSIONS[2]  # the first dimensions that are scored with these
MAX_COMMENT = 10_000  # characters


class ReviewSession:
    """A rater's way through a review; it resumes where this rater's file in `output_dir` stops.

    InputError: the rater's name, file or scale do not fit; see RaterFile.
    """

    def __init__(self, review: Review, rater: str, output_dir: str | Path) -> None:
        self.review = review
        self._file = RaterFile(output_dir, rater, review)
        self.marks, self.rater = self._file.marks, self._file.rater
        self._places = {pair.key: place for place, pair in enumerate(review.pairs)}
        self.place, self.dimension = 0, DIMENSIONS[0]
        self.finished = False
        self._go_to_open(0)

    @property
    def pair(self) -> ReviewPair:
        return self.review.pairs[self.place]

    @property
    def mark(self) -> PairMarks:
        """What this rater gave the pair that is shown."""
        return self.marks.pairs.setdefault(self.pair.key, PairMarks())

    # Steps: each is one key. ReviewError says why one could not be taken.

    def score(self, value: int) -> None:
        """Score the current dimension and move on."""
        top = self.review.judging.top
        self._check_unfinished()
        if type(value) is not int or not 1 <= value <= top:
            raise ReviewError(f"the scale is 1 to {top}")
        self._file.append(self.pair, dimension=self.dimension, score=value)
        self.marks.score(self.pair.key, self.dimension, value)
        missing = [name for name in DIMENSIONS if name not in self.mark.scores]
        if missing:
            after = [name for name in missing if DIMENSIONS.index(name) > DIMENSIONS.index(self.dimension)]
            self.dimension = (after or missing)[0]
        else:
            self._go_to_open(self.place + 1)

    def skip(self) -> None:
        """Leave this pair without scores, those it has included, and move on to the next open one."""
        self._check_unfinished()
        self._file.append(self.pair, skipped=True)
        self.marks.skip(self.pair.key)
        self._go_to_open(self.place + 1)

    def comment(self, text: str) -> None:
        """Keep a comment on this pair, in place of the one it has; an empty one takes it back."""
        text = text.strip()[:MAX_COMMENT]
        if text != self.mark.comment:
            self._file.append(self.pair, comment=text)
            self.marks.comment(self.pair.key, text)

    def go_back(self) -> None:
        """To what was scored or skipped last; again, to what was scored before that. Scores are kept until
        overwritten."""
        here = None if self.finished else (self.pair.key, self.dimension)
        while self.marks.trail:
            key, dimension = self.marks.trail.pop()
            if (key, dimension or DIMENSIONS[0]) != here:
                self.place, self.finished = self._places[key], False
                self.dimension = dimension or DIMENSIONS[0]
                return
        raise ReviewError("this is where the review began")

    def move_dimension(self, step: int) -> None:
        """To a dimension below (1) or above (-1), as far as what is shown allows."""
        place = DIMENSIONS.index(self.dimension) + step
        if not 0 <= place < len(DIMENSIONS):
            return
        if DIMENSIONS[place] not in self._open_dimensions():
            raise ReviewError(f"score {self.dimension} first: it is scored without what the others need")
        self.dimension = DIMENSIONS[place]

    def move_pair(self, step: int) -> None:
        """To the next (1) or previous (-1) pair, scored or not."""
        if not 0 <= self.place + step < len(self.review.pairs):
            raise ReviewError("this is the last pair" if step > 0 else "this is the first pair")
        self.place, self.finished = self.place + step, False
        self.dimension = self._first_missing()

    def move_to_unscored(self) -> None:
        """To the next pair that lacks a score, skipped ones too."""
        if not self._go_to(self.place + 1, lambda mark: not mark.complete):
            raise ReviewError("every pair is scored")

    def _check_unfinished(self) -> None:
        if self.finished:
            raise ReviewError("every pair is scored or skipped; go back to change one")

    def _first_missing(self) -> str:
        return next((name for name in DIMENSIONS if name not in self.mark.scores), DIMENSIONS[0])

    def _open_dimensions(self) -> list[str]:
        """Those that may be scored now: the paper is shown after agnosticism is scored, the answer after relevance."""
        if NEEDS_ANSWER in self.mark.scores or all(name in self.mark.scores for name in DIMENSIONS[:2]):
            return list(DIMENSIONS)
        return list(DIMENSIONS[: 1 + (DIMENSIONS[0] in self.mark.scores)])

    def _go_to_open(self, start: int) -> None:
        """To the first pair from `start` on, round to the beginning, that is neither scored nor skipped."""
        self.finished = not self._go_to(start, lambda mark: not mark.complete and not mark.skipped)

    def _go_to(self, start: int, is_wanted: Callable[[PairMarks], bool]) -> bool:
        """Go to the first pair from `start` on, round to the beginning, that is wanted; False where none is."""
        total = len(self.review.pairs)
        for place in (*range(start, total), *range(min(start, total))):
            if is_wanted(self.marks.pairs.get(self.review.pairs[place].key, PairMarks())):
                self.place, self.finished = place, False
                self.dimension = self._first_missing()
                return True
        return False

    # What is shown ---------------------------------------------------------------------------------------------------

    def view(self, spans: list[Span] | None = None) -> dict[str, Any]:
        """What the widget draws, as JSON; `spans` are the evidence, offsets into the paper's text, where known."""
        marks, shown = self.marks.pairs.values(), self._open_dimensions()
        has_paper, has_answer = NEEDS_PAPER in shown, NEEDS_ANSWER in shown
        paper = self.pair.paper
        return {
            "rater": self.rater,
            "place": self.place,
            "total": len(self.review.pairs),
            "finished": self.finished,
            "scored": sum(mark.complete for mark in marks),
            "skipped": sum(mark.skipped for mark in marks),
            "question": self.pair.question,
            "answer": self.pair.answer if has_answer else None,
            "paper": paper.doi if has_paper else None,
            "spans": to_utf16(paper.txt, spans) if has_answer and spans is not None else None,
            "current": self.dimension,
            "open": shown,
            "scores": dict(self.mark.scores),
            "is_skipped": self.mark.skipped,
            "comment": self.mark.comment,
        }


def to_utf16(txt: str, spans: list[Span]) -> list[Span]:
    """The same spans counted as a browser counts: a character beyond U+FFFF, such as an italic 𝛼, is two there.

    >>> to_utf16("𝛼 = 2", [(0, 1), (4, 5)])
    [(0, 2), (5, 6)]
    """
    units = {place: len(txt[:place].encode("utf-16-le", "surrogatepass")) // 2 for span in spans for place in span}
    return [(units[start], units[end]) for start, end in spans]
