"""The review in JupyterLab: a thin widget between widget.js, which draws and listens to keys, and a session.

    ReviewWidget(ReviewSession(review, "anna", "runs/review"))  # the last line of a cell

The page sends {"action": "score", "value": 2, "seen": 17, "number": 5} and gets {"kind": "view", ...} back. All texts
go by messages: what is synchronized instead would be stored in the notebook file, a rater's scores and papers with it.
"""

from itertools import islice
from pathlib import Path
from typing import Any

import anywidget

from sciqag_lib.review.pairs import DIMENSIONS
from sciqag_lib.review.scores import ReviewError
from sciqag_lib.review.session import ReviewSession


class ReviewWidget(anywidget.AnyWidget):
    """One rater's review, worked with the keyboard; scores are on disk before they are shown."""

    _esm = Path(__file__).with_name("widget.js")
    _css = Path(__file__).with_name("widget.css")

    def __init__(self, session: ReviewSession) -> None:
        super().__init__()
        self.session = session
        self._sent_paper: str | None = None
        self.on_msg(self._answer)
        self._begin_evidence()

    def _answer(self, _: Any, message: dict[str, Any], buffers: Any) -> None:
        """Do what one key asks for and send what is to be seen then."""
        notice = ""
        if message.get("action") == "ready":  # a page that was just drawn, or drawn again
            self._sent_paper = None
            session = self.session
            dimensions = [session.review.describe_dimension(name) for name in DIMENSIONS]
            self.send({"kind": "scale", "dimensions": dimensions, "top": session.review.judging.top})
        elif message.get("action") != "look":  # the page looks again where the evidence was not found yet
            try:
                self._act(message)
            except ReviewError as error:
                notice = str(error)
        self._begin_evidence()
        self._show(notice, message.get("number"))

    def _act(self, message: dict[str, Any]) -> None:
        session, action, value = self.session, message.get("action"), message.get("value")
        if message.get("seen") != session.place:
            # Struck, or held down, before this pair was on the screen: it was meant for the one before.
            raise ReviewError("not counted: that key was struck before this pair was shown")
        steps = {"score": session.score, "comment": session.comment, "dimension": session.move_dimension,
                 "pair": session.move_pair}  # fmt: skip
        plain = {"skip": session.skip, "back": session.go_back, "unscored": session.move_to_unscored}
        if action in steps:
            steps[action](value)
        elif action in plain:
            plain[action]()

    def _begin_evidence(self) -> None:
        """Look for the evidence of the paper shown, and of the next one, while the rater reads."""
        review, place = self.session.review, self.session.place
        review.begin_evidence(place)
        here = review.pairs[place].paper
        following = (later for later in range(place, len(review.pairs)) if review.pairs[later].paper is not here)
        for later in islice(following, 1):
            review.begin_evidence(later)

    def _show(self, notice: str, number: int | None) -> None:
        session = self.session
        found = session.review.begin_evidence(session.place).done()
        view = session.view(session.review.find_evidence(session.place) if found else None)
        if view["paper"] and view["paper"] != self._sent_paper:
            paper = session.pair.paper
            self.send({"kind": "paper", "doi": paper.doi, "title": paper.title, "txt": paper.txt})
            self._sent_paper = view["paper"]
        self.send({"kind": "view", "view": view, "notice": notice, "number": number})
