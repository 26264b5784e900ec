"""Verdicts on a judge, or a measure, by a control: texts that are worse than the real ones by construction.

Each rests on the 95% interval of the scores of the real texts less those of the control.
"""

import math

from sciqag_lib.metrics.intervals import NOTHING, Estimate

FEW_GROUPS = 10  # an interval bootstrapped over fewer says little


def judge_control(difference: Estimate, reference: Estimate = NOTHING) -> str:
    """What a judge's scores of a control say of the judge; `reference` is its scores of reference texts less those of
    the control. A judge that tells neither apart from the control is useless."""
    if difference.low > 0:
        return "told apart"
    if reference.low > 0:
        return "no better: the judge tells the reference answers apart from it, but not these"
    if math.isnan(difference.low):
        return "undecided"
    return "useless: the worse ones get more" if difference.high < 0 else "useless: not told apart"


def judge_measure(difference: Estimate) -> str:
    """Whether a measure that needs no judge gives the real texts more than the control."""
    if math.isnan(difference.low):
        return "undecided"
    return "above it" if difference.low > 0 else "not above it"


def show_few(groups: int, unit: str) -> None:
    """Warn of intervals over too few groups; `unit` names them."""
    if groups < FEW_GROUPS:
        print(f"Fewer than {FEW_GROUPS} {unit}: these intervals say little.")
