"""Papers whose facts a scripted engine can turn into good pairs, for the tests of whole runs."""

import json
import re

METALS = "copper iron nickel cobalt zinc silver gold platinum titanium tungsten chromium vanadium".split()
EFFECT = r"The conductivity of (\w+) alloy (A\d+) reached (\d+) S/cm"
FACT = re.compile(EFFECT + r" because annealing at \d+ K removed \w+ oxides\.")


def make_fact(paper: int, number: int) -> str:
    metal, other = METALS[number % 12], METALS[(number + 5) % 12]
    return (
        f"The conductivity of {metal} alloy A{paper}{number:02d} reached {20 + 3 * number} S/cm because annealing at "
        f"{300 + 11 * number} K removed {other} oxides."
    )


def make_record(paper: int, num_facts: int = 40) -> dict:
    lines = [" ".join(make_fact(paper, 4 * line + number) for number in range(4)) for line in range(num_facts // 4)]
    return {
        "source": f"{paper}.xml",
        "doi": f"10.1000/test.{paper}",
        "abstract": "",
        "keywords": ["alloys", "annealing"],
        "txt": "\n".join(lines),
        "title": f"Conductivity of alloys, part {paper}",
    }


def write_papers(path, num_papers: int = 3, **more) -> str:
    path.write_text(json.dumps([make_record(number, **more) for number in range(num_papers)], ensure_ascii=False))
    return str(path)


def question_to(fact: re.Match) -> str:
    return f"Why did the conductivity of {fact[1]} alloy {fact[2]} reach {fact[3]} S/cm?"


def answer_all(num_pairs: "int | None" = None):
    """A reply function: pairs about the facts of the prompt that it does not list as taken; the asked-for number."""

    def reply(request) -> str:
        text = request.prompt.text or request.prompt.user
        if text.endswith("Question: Why"):  # evidence_first
            return question_to(re.search(EFFECT, text.rsplit("Fact:", 1)[1])).removeprefix("Why")
        asked = num_pairs or int(re.search(r"write (\d+) pairs", text)[1])
        facts = [fact for fact in FACT.finditer(text) if question_to(fact) not in text][:asked]
        lines = [f"Q{number}: {question_to(fact)}\nA{number}: {fact[0]}" for number, fact in enumerate(facts, start=1)]
        return "Keywords: alloys, annealing\n\n" + "\n\n".join(lines)

    return reply
