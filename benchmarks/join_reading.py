"""The blind reading of 40 pairs of each side: how many a reader called good, with intervals.

    python benchmarks/join_reading.py

blind_reading/verdicts.jsonl holds the 80 pairs in the order they were read, shuffled, by a reader who did not write
the code and was not told the side: {"id", "doi", "Q", "A", "verdict", "fault", "reason"}. sides.json tells which way
of pairs_speed.py each came from, and was joined afterwards. The answers are quoted under the papers' licences (NOTICE).
"""

import json
from collections import Counter
from pathlib import Path

from scipy.stats import binomtest

FOLDER = Path(__file__).parent / "blind_reading"


def main() -> None:
    sides = json.loads((FOLDER / "sides.json").read_text(encoding="utf-8"))
    lines = (FOLDER / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    verdicts = {str(entry["id"]): entry for entry in map(json.loads, lines)}
    if verdicts.keys() != sides.keys() or len(lines) != len(sides):
        raise SystemExit(
            f"expected one verdict for each of {len(sides)} pairs, found {len(verdicts)} in {len(lines)} lines"
        )
    print("| side | good | of | share | 95% interval (Wilson) | faults |\n|---|---|---|---|---|---|")
    for side in sorted(set(sides.values())):
        read = [verdicts[number] for number, of in sides.items() if of == side]
        good = sum(entry["verdict"] == "good" for entry in read)
        low, high = binomtest(good, len(read)).proportion_ci(method="wilson")
        faults = Counter(entry["fault"] for entry in read if entry["verdict"] != "good").most_common()
        print(
            f"| {side} | {good} | {len(read)} | {good / len(read):.0%} | {low:.0%} to {high:.0%} | "
            + ", ".join(f"{count} {fault}" for fault, count in faults)
            + " |"
        )


if __name__ == "__main__":
    main()
