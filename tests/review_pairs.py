"""Small papers to review, and what a rater's file holds; shared by the tests of the review."""

import json
from pathlib import Path
from typing import Any

import pytest

from sciqag_lib.review.pairs import open_review
from sciqag_lib.review.scores import rater_path
from sciqag_lib.review.session import ReviewSession


def paper(name: str, num_pairs: int = 2, **more: Any) -> dict[str, Any]:
    facts = [f"Sample {name}{number} melts at {100 + number} K." for number in range(num_pairs)]
    return {"doi": f"10.1/{name}", "txt": f"About {name}.\n" + "\n".join(facts), "title": f"Title {name}",
            "keywords": [], "Q&A": [{"Q": f"When does {name}{number} melt?", "A": fact}
                                    for number, fact in enumerate(facts)], **more}  # fmt: skip


def write_papers(folder: Path, papers: list[dict[str, Any]]) -> Path:
    (folder / "qas.json").write_text(json.dumps(papers), encoding="utf-8")
    return folder / "qas.json"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two papers of two pairs."""
    return write_papers(tmp_path, [paper("a"), paper("b")])


@pytest.fixture
def session(source: Path, tmp_path: Path) -> ReviewSession:
    return ReviewSession(open_review(source), "anna", tmp_path)


def keys(review: Any) -> list[tuple[str, int]]:
    return [(pair.doi, pair.number) for pair in review.pairs]


def steps(folder: Path, rater: str = "anna") -> list[dict[str, Any]]:
    return [json.loads(line) for line in rater_path(folder, rater).read_text(encoding="utf-8").splitlines()]


def score_pairs(session: ReviewSession, *values: int) -> None:
    for value in values:
        session.score(value)
