"""How good a question that the rules made is likely to be: features, as flat numbers, and a plain score of them.

{"words": 11.0, "share_asked": 0.6, "cut": 0.0, "has_setting": 1.0, "names_topic": 2.0, "depth": 5.0, ...}
"""

from collections.abc import Collection

from sciqag_lib.question_writer.clauses import Clause
from sciqag_lib.question_writer.results import Written
from sciqag_lib.question_writer.turning import Draft
from sciqag_lib.text.sentences import list_content_words

# Set by hand, after reading: a learned chooser is to replace them.
WEIGHTS = {"cause": 2.0, "effect": 1.5, "comparison": 1.5, "shift": 1.5, "means": 1.5, "purpose": 1.5, "share": 1.5,
           "value": 1.2, "change": 1.2, "correlation": 1.0, "agent": 1.2, "cause_of": 1.0, "object": 1.0,
           "identity": 1.5, "possession": 1.2, "any_object": 0.2}  # fmt: skip


def describe_question(
    question: str, sentence: str, draft: Draft, clause: Clause, setting: str, title_words: Collection[str]
) -> dict[str, float]:
    """The features of a question, all floats: what a chooser can learn from."""
    asked, told = set(list_content_words(question)), set(list_content_words(sentence))
    return {
        "words": float(len(question.split())),
        "sentence_words": float(len(sentence.split())),
        "share_asked": len(asked & told) / max(1, len(told)),
        "left_to_tell": float(len(told - asked)),
        "cut": float(clause.num_cut),
        "has_setting": float(bool(setting)),
        "has_front": float(bool(draft.front)),
        "names_topic": float(len(asked & set(title_words))),
        "names": float(sum(token.pos_ == "PROPN" for token in draft.tokens)),
        "has_number": float(any(character.isdigit() for character in sentence)),
        "cites": float("[" in sentence),
        "depth": float(max((len(list(token.ancestors)) for token in clause.verb.subtree), default=0)),
        "verbs": float(len(clause.verbs)),
        "pronouns": float(sum(token.pos_ == "PRON" for token in draft.tokens)),
        "compound": float(clause.is_compound),
    }


def score_written(written: Written) -> float:
    """Higher is better; the reasons are in the features."""
    features, score = written.features, WEIGHTS.get(written.rule, 0.5)
    score += 0.3 * min(3.0, features["names_topic"]) + 0.2 * min(2.0, features["names"]) + 0.5 * features["has_setting"]
    score -= 0.05 * abs(features["words"] - 14) + 0.08 * features["cut"] + 0.4 * features["pronouns"]
    score -= (
        0.7 * features["answer_points"]
        + 1.0 * (features["left_to_tell"] < 2)
        + 0.5 * features["compound"]
        + 0.1 * max(0.0, features["depth"] - 6)
    )
    return score
