"""What the writer returns for a sentence.

Written(span=(120, 171), question="In clay soils, why did yields fall?", rule="cause", setting="in clay soils", ...)
Refused(span=(172, 204), reason="open_reference")
"""

from dataclasses import dataclass

from sciqag_lib.text.sentences import Span


@dataclass(frozen=True)
class Written:
    span: Span  # of Paper.txt: the answer
    question: str
    rule: str  # the first of writer.RULES' names
    setting: str  # what was put before the question, or ""
    features: dict[str, float]


@dataclass(frozen=True)
class Refused:
    span: Span
    reason: str  # one of screening.REASONS
