"""How a paper is asked: whole at once, passage by passage, or evidence first.

A strategy is the `ask` of a job (inference/loop.py): a generator that yields Rounds of requests and returns an Outcome.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sciqag_lib.checks.grounding import PaperIndex, check_numbers, ground_pair
from sciqag_lib.checks.rules import check_pair
from sciqag_lib.engines import Engine, Prompt, Request, Sampling
from sciqag_lib.errors import InputError
from sciqag_lib.generation.evidence_first import (
    QUESTION_TOKENS,
    Candidate,
    Sentence,
    choose_best,
    choose_sentences,
    load_kinds,
    question_prompt,
    read_question,
)
from sciqag_lib.generation.parsing import ParsedReply, format_pairs, parse_reply
from sciqag_lib.generation.recipe import Recipe, output_room
from sciqag_lib.inference.loop import Asking, Round
from sciqag_lib.inference.prompts import fit_text, plain_text, render
from sciqag_lib.inference.seeds import derive_seed
from sciqag_lib.records.papers import Paper, QAPair
from sciqag_lib.text.scripts import count_words
from sciqag_lib.text.sentences import split_sentences

MAX_ROUNDS = 3  # the first time and twice for what is missing
PASSAGE_WORDS = 350


@dataclass
class Outcome:
    """What asking one paper came to: `len(pairs) + len(missing)` is always what was asked for."""

    missing: list[str]  # a reason for each pair that could not be had
    rejected: dict[str, int] = field(default_factory=dict)  # pairs the model gave that were not kept, by reason
    keywords: list[str] = field(default_factory=list)  # the model's own, where it wrote some
    input: str = ""  # the first complete prompt
    output: str = ""  # whole_paper: the first raw reply; else the pairs in the published form
    cut_characters: int = 0  # how much of the paper's text did not fit into the first prompts
    pairs: list[QAPair] = field(default_factory=list)


class Collector:
    """The accepted pairs of one paper, and why the others were not accepted."""

    def __init__(self, paper: Paper, num_pairs: int):
        self.paper, self.num_pairs = paper, num_pairs
        self.index = PaperIndex(paper.txt)
        self.accepted: list[QAPair] = []
        self.rejected: Counter[str] = Counter()
        self.last_reasons: list[str] = []  # of the latest round, for the pairs that stay missing

    @property
    def missing(self) -> int:
        return self.num_pairs - len(self.accepted)

    def take(self, pair: QAPair) -> bool:
        """Ground the pair, check it, and keep it or count the reason."""
        if self.missing <= 0:
            self.rejected["not_needed"] += 1
            return False
        if pair.evidence:  # evidence first: known from the start
            pair.numbers = check_numbers(pair.answer, self.index)
        else:
            pair = ground_pair(pair, self.index)
        reason = check_pair(pair, self.index, self.accepted)
        if reason:
            self.reject(reason)
            return False
        self.accepted.append(pair)
        return True

    def reject(self, reason: str) -> None:
        self.rejected[reason] += 1
        self.last_reasons.append(reason)

    def take_reply(self, reply: ParsedReply, asked: int) -> None:
        """All pairs of a reply; each pair short of `asked` has the reply's own problem as its reason."""
        for pair in reply.pairs:
            self.take(pair)
        short = asked - len(reply.pairs)
        reason = reply_problem(reply)
        self.last_reasons += [reason] * max(0, short)  # these were never given: nothing was rejected

    def outcome(self, otherwise: str = "too_few_given", **more: Any) -> Outcome:
        latest_first = list(reversed(self.last_reasons))
        missing = (latest_first + [otherwise] * self.missing)[: self.missing]
        return Outcome(missing, dict(self.rejected), pairs=self.accepted, **more)


def reply_problem(reply: ParsedReply) -> str:
    """The one reason why a reply held fewer pairs than asked."""
    if "truncated" in reply.problems:
        return "reply_truncated"
    return "too_few_given" if reply.pairs else "reply_unreadable"


def ask_whole_paper(paper: Paper, recipe: Recipe, engine: Engine) -> Asking:
    """The published way: one prompt with the paper, keywords and then all pairs; what is missing is asked again."""
    return _ask_parts(paper, recipe, engine, [(0, len(paper.txt))], whole=True)


def ask_passages(paper: Paper, recipe: Recipe, engine: Engine) -> Asking:
    """Pairs spread evenly over the paper's passages, so that its end is asked about as much as its beginning."""
    return _ask_parts(paper, recipe, engine, split_passages(paper.txt), whole=False)


def _ask_parts(paper: Paper, recipe: Recipe, engine: Engine, parts: list[tuple[int, int]], whole: bool) -> Asking:
    """Pairs about parts of a text. Of a `whole` paper, the first reply and its keywords are kept as they are."""
    collector, first_prompt, first_reply, keywords = Collector(paper, recipe.n_qa), None, "", []
    unused, again, cut, seen = list(range(len(parts))), "", 0, set()
    for round_number in range(MAX_ROUNDS):
        shares = spread(collector.missing, unused or list(range(len(parts))))
        unused = [number for number in unused if number not in shares]
        requests, asked, cut_now = [], [], 0
        for number, share in shares.items():
            start, end = parts[number]
            room, title = output_room(recipe, share, engine.context_size), "" if whole else paper.title
            try:
                prompt, kept = fit_paper(paper.txt[start:end], recipe, engine, share, again, room, title)
            except InputError:
                if round_number == 0:
                    raise
                continue  # the accepted questions leave no room to ask for more: what there is counts
            if recipe.temperature == 0 and prompt in seen:
                continue  # the same prompt would get the same reply
            seen.add(prompt)
            asked.append(share)
            cut_now += end - start - kept
            requests.append(make_request(paper, recipe, prompt, room, number, round_number))
        if not requests:
            break
        completions = yield Round(requests, cut_now)
        if round_number == 0:
            first_prompt, first_reply, cut = requests[0].prompt, completions[0].text, cut_now
        collector.last_reasons.clear()
        readable = False
        for share, completion in zip(asked, completions):
            reply = parse_reply(completion.text, finished=completion.finish_reason != "length")
            if not whole:  # a model that gives more than its share must not take the place of a later passage
                reply.pairs = reply.pairs[:share]
            readable, keywords = readable or bool(reply.pairs), keywords or reply.keywords
            collector.take_reply(reply, share)
        if not collector.missing:
            break
        again = again_text(recipe, collector.accepted, readable)
    output = first_reply if whole else format_pairs(list_keywords(paper), collector.accepted)
    more = {"input": engine.format(first_prompt), "output": output, "cut_characters": cut}
    return collector.outcome(keywords=keywords if whole else [], **more)


def ask_evidence_first(paper: Paper, recipe: Recipe, engine: Engine) -> Asking:
    """Informative sentences first; the model writes only the question that each answers; the best are kept."""
    kinds = load_kinds(recipe.prompt)
    collector, first_prompt, used = Collector(paper, recipe.n_qa), "", set()
    for round_number in range(MAX_ROUNDS):
        sentences = choose_sentences(paper, kinds, collector.missing, exclude=used)
        if not sentences:
            break
        used.update(sentence.start for sentence in sentences)
        prompts = [question_prompt(recipe.prompt, sentence) for sentence in sentences]
        requests = [
            make_request(paper, recipe, prompt, QUESTION_TOKENS, sentence.start, round_number, stop=("\n",))
            for sentence, prompt in zip(sentences, prompts)
        ]
        sentences, requests = keep_fitting(sentences, requests, engine)
        if not requests:
            continue
        first_prompt = first_prompt or engine.format(requests[0].prompt)
        completions = yield Round(requests)
        candidates = [
            Candidate(sentence, read_question(sentence, completion.text))
            for sentence, completion in zip(sentences, completions)
        ]
        collector.last_reasons.clear()
        choose_best(candidates, collector, paper.txt)
        if not collector.missing:
            break
    collector.accepted.sort(key=lambda pair: pair.evidence)
    output = format_pairs(list_keywords(paper), collector.accepted)
    return collector.outcome("no_informative_sentence", input=first_prompt, output=output)


def keep_fitting(
    sentences: list[Sentence], requests: list[Request], engine: Engine
) -> tuple[list[Sentence], list[Request]]:
    """Those whose prompt and reply fit into the context. Raises InputError where not even the shortest does because
    the prompt file alone is too long."""
    counts = engine.count_tokens([engine.format(request.prompt) for request in requests])
    room = engine.context_size - QUESTION_TOKENS
    fitting = [pair for pair, count in zip(zip(sentences, requests), counts) if count <= room]
    if not fitting and min(counts) - room < engine.count_tokens([min((s.shown for s in sentences), key=len)])[0]:
        return [], []
    if not fitting:
        raise InputError(
            f"the prompt alone has {min(counts):,} tokens and the context leaves room for {room:,}; "
            "raise context_size, or shorten the prompt"
        )
    return [sentence for sentence, _ in fitting], [request for _, request in fitting]


STRATEGIES: dict[str, Callable[[Paper, Recipe, Engine], Asking]] = {
    "whole_paper": ask_whole_paper,
    "passages": ask_passages,
    "evidence_first": ask_evidence_first,
}


def fit_paper(
    text: str, recipe: Recipe, engine: Engine, num_pairs: int, again: str, room: int, title: str = ""
) -> tuple[Prompt, int]:
    """The recipe's prompt around as much of `text` as leaves `room` tokens of the context for the reply."""

    def make_prompt(part: str) -> Prompt:
        values = {"paper": part, "num_pairs": str(num_pairs), "again": plain_text(again), "title": plain_text(title)}
        return render(recipe.prompt, recipe.form, values)

    return fit_text(engine, make_prompt, text, engine.context_size - room)


def again_text(recipe: Recipe, accepted: list[QAPair], readable: bool) -> str:
    """What a second prompt says more than the first: the questions already there, or that the form was missed."""
    text = ""
    if accepted:
        listed = "\n".join(f"- {pair.question}" for pair in accepted)
        text = recipe.prompt.texts.get("again", "\n\n{{accepted}}").replace("{{accepted}}", listed)
    return text if readable else text + recipe.prompt.texts.get("unreadable", "\n\nKeep exactly to this form.")


def make_request(
    paper: Paper, recipe: Recipe, prompt: Prompt, room: int, call: int, attempt: int, stop: tuple[str, ...] = ()
) -> Request:
    seed = derive_seed(recipe.seed, paper.doi, call, attempt)
    return Request(
        f"{paper.doi}#{call}.{attempt}", prompt, Sampling(room, recipe.temperature, recipe.top_p, seed, stop)
    )


def split_passages(text: str) -> list[tuple[int, int]]:
    """Spans of whole sentences, about PASSAGE_WORDS words each, that cover `text`; at least one."""
    sentences = split_sentences(text)
    spans, start, words = [], 0, 0
    for number, (first, last) in enumerate(sentences):
        words += count_words(text[first:last])
        if words >= PASSAGE_WORDS:
            after = sentences[number + 1][0] if number + 1 < len(sentences) else len(text)
            spans.append((start, after))
            start, words = after, 0
    if not spans or words >= PASSAGE_WORDS // 3:
        spans.append((start, len(text)))
    else:  # a short rest belongs to the passage before it
        spans[-1] = (spans[-1][0], len(text))
    return spans


def list_keywords(paper: Paper) -> list[str]:
    """The paper's keywords as a list, whichever of the two published forms they have."""
    keywords = paper.keywords if isinstance(paper.keywords, list) else re.split("[,;，；、]", paper.keywords)
    return [keyword.strip() for keyword in keywords if keyword.strip()]


def spread(count: int, places: list[int]) -> dict[int, int]:
    """`count` items over `places` as evenly as can be: {place: its share}, places without a share left out.

    >>> spread(2, [0, 1, 2, 3])
    {0: 1, 2: 1}
    >>> spread(5, [0, 1])
    {0: 3, 1: 2}
    """
    shares: dict[int, int] = {}
    for number in range(count):
        place = places[number * len(places) // count]
        shares[place] = shares.get(place, 0) + 1
    return shares
