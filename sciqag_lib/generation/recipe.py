"""The recipe of a run: everything that decides a paper's result, next to its text and the engine's model."""

from dataclasses import dataclass
from typing import Any

from sciqag_lib.engines import Engine
from sciqag_lib.errors import check_parameters
from sciqag_lib.inference.prompts import PromptFile, load_form, load_prompt
from sciqag_lib.inference.seeds import digest_of

VERSION = 4  # of everything in the generating code that moves a result and is not in a prompt file
STRATEGIES = ("whole_paper", "passages", "evidence_first")
TOKENS_PER_PAIR = 120  # the published pairs have 53 words on average; twice that is rarely passed
TOKENS_FOR_KEYWORDS = 150
PUBLISHED_TEMPERATURE = 0.6


@dataclass(frozen=True)
class Recipe:
    """Made by make_recipe; what changes one of these changes results, and a run's ledger refuses to mix them."""

    strategy: str
    n_qa: int
    prompt: PromptFile
    form: str  # the template's text, "" for the model's own chat template
    temperature: float
    top_p: float
    max_gen_len: int  # tokens, a ceiling
    context_size: int  # tokens, as asked for; the engine's own may be smaller
    seed: int
    seq_len: int | None = None  # the published evaluation length: checked and recorded, no result depends on it

    def fingerprint(self, engine: Engine) -> dict[str, Any]:
        return {
            "engine": engine.name,
            "model": engine.model_id,
            "strategy": self.strategy,
            "strategy_version": VERSION,
            "n_qa": self.n_qa,
            "prompt": f"{self.prompt.name} v{self.prompt.version} {self.prompt.digest}",
            "prompt_form": digest_of(self.form) if self.form else "chat",
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_gen_len": self.max_gen_len,
            "context_size": engine.context_size,
            "seed": self.seed,
        }


def output_room(recipe: Recipe, num_pairs: int, context_size: int) -> int:
    """Tokens kept free for `num_pairs` pairs: what they need, at most max_gen_len and half the context."""
    needed = TOKENS_PER_PAIR * num_pairs + TOKENS_FOR_KEYWORDS
    return max(1, min(needed, recipe.max_gen_len, context_size // 2))


def make_recipe(
    strategy: str | None = None,
    engine: str = "llama_cpp",
    base_model: str | None = None,
    n_qa: int = 10,
    prompt: str | None = None,
    prompt_form: str = "chat",
    temperature: float | None = None,
    top_p: float = 0.9,
    max_gen_len: int = 12888,
    context_size: int = 12888,
    seq_len: int | None = None,
    seed: int = 0,
) -> Recipe:
    """A recipe from a notebook's parameters.

    None means: for `strategy` evidence_first with the packaged model (a local engine without `base_model`), which
    must not be trusted to write answers, else whole_paper; for `prompt` the strategy's own; for `temperature` 0 with
    evidence_first, else the published 0.6. `seq_len` is the published evaluation length: it is only checked.
    Raises InputError naming the parameter.
    """
    strategy = strategy or ("whole_paper" if base_model or engine == "openai" else "evidence_first")
    if temperature is None:
        temperature = 0.0 if strategy == "evidence_first" else PUBLISHED_TEMPERATURE
    check_parameters(
        ("strategy", strategy, strategy in STRATEGIES, "one of " + ", ".join(STRATEGIES)),
        ("n_qa", n_qa, n_qa >= 1, "at least 1"),
        ("temperature", temperature, temperature >= 0, "0 (greedy) or more"),
        ("top_p", top_p, 0 < top_p <= 1, "more than 0 and at most 1"),
        ("max_gen_len", max_gen_len, max_gen_len >= 1, "at least 1 token"),
        ("context_size", context_size, context_size >= 256, "at least 256 tokens"),
        ("seq_len", seq_len, seq_len is None or 1 <= seq_len <= context_size, f"at most context_size, {context_size}"),
    )
    return Recipe(
        strategy,
        n_qa,
        _load_prompt(strategy, prompt),
        load_form(prompt_form),
        float(temperature),
        float(top_p),
        max_gen_len,
        context_size,
        seed,
        seq_len,
    )


def _load_prompt(strategy: str, prompt: str | None) -> PromptFile:
    required = ("instruction", "kinds") if strategy == "evidence_first" else ("system", "instruction", "input")
    return load_prompt(prompt or strategy, required)
