"""Engines: text in, text out. Nothing here knows what a paper is.

An engine is an object with the members of `Engine`. The caller submits requests and waits for completions,
which may come back in another order; `concurrency` says how many requests the engine likes to have at once.
A fake engine is ten lines (tests/fakes.py).

    with open_engine("llama_cpp", model="model.gguf", context_size=4096) as engine:
        for completion in complete(engine, [Request("a", Prompt(user="Hello"), Sampling(max_new_tokens=8))]):
            print(completion.text)
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

ROLES = ("user", "assistant")


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str  # "user" or "assistant"
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"Message: expected one of the roles {', '.join(ROLES)}, found {self.role!r}")


@dataclass(frozen=True)
class Prompt:
    user: str = ""
    system: str = ""
    messages: tuple[Message, ...] = ()  # earlier turns of a conversation, between `system` and `user`
    text: str = ""  # a complete prompt, sent as it is: no chat template is applied; the three above are then empty
    json_schema: dict[str, Any] | None = None  # the reply must be JSON of this form

    def __post_init__(self) -> None:
        if self.text and (self.user or self.system or self.messages):
            raise ValueError(
                "Prompt: expected either text, which is sent as it is, or user, system and messages; found both"
            )


@dataclass(frozen=True)
class Sampling:
    max_new_tokens: int = 256
    temperature: float = 0.0  # 0 is greedy
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()  # generation ends before the first of these; it is not part of the text


@dataclass(frozen=True)
class Request:
    id: str
    prompt: Prompt
    sampling: Sampling = field(default_factory=Sampling)
    # Called with each new piece of the reply by an engine that `streams`; the Completion follows all the same.
    on_text: Callable[[str], None] | None = None


@dataclass
class Completion:
    id: str  # the request's
    text: str
    finish_reason: str  # "stop", "length" (max_new_tokens reached) or "error"
    prompt_tokens: int = 0
    new_tokens: int = 0
    seconds: float = 0.0
    error: str = ""  # with "error": what failed and what to do, without any key or token
    fatal: bool = False  # with "error": every further request would fail the same way (wrong key, no server)
    cached_tokens: int = (
        0  # of prompt_tokens: those that a prefix cache held and nobody processed again, where it is said
    )


class EngineError(RuntimeError):
    """An engine that cannot be opened or used: what was expected, what was found, what to do."""


class Engine(Protocol):
    name: str  # "llama_cpp", "transformers", "openai"
    model_id: str  # identifies the weights: file name and content hash, hub id, or the server's model name
    context_size: int  # tokens; the smaller of what was asked for and the model's own
    concurrency: int  # how many requests it likes to have in flight
    description: str  # model, device and what else a reader of a report should know, in one line
    tokens_exact: bool  # False where count_tokens is only a careful estimate (a server without a tokenizer)
    reuses_prefix: bool  # a prompt that begins like the one before it costs only what is new
    streams: bool  # calls Request.on_text; from a thread of its own where `concurrency` is over 1

    def format(self, prompt: Prompt) -> str:
        """The complete text the model sees, chat template applied. EngineError where the model has no template."""

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Tokens of each complete text, special tokens the engine adds included."""

    def submit(self, request: Request) -> None:
        """Queue a request; returns at once or as soon as there is room."""

    def wait(self) -> list[Completion]:
        """Block until at least one submitted request is done; [] when none is outstanding. Never raises for
        the failure of one request: that is a Completion with finish_reason "error"."""

    def close(self) -> None: ...
    def __enter__(self) -> "Engine": ...
    def __exit__(self, *exc: object) -> None: ...


def open_engine(
    engine: str,
    model: str | None = None,
    context_size: int = 8192,
    *,
    cache_dir: str | None = None,
    flash_attn: bool = True,
    batch_size: int = 8,
    base_url: str = "http://127.0.0.1:8000/v1",
    concurrency: int = 8,
    timeout_seconds: float = 300.0,
    max_retries: int = 5,
) -> Engine:
    """An open engine by name; `model` None is the packaged SmolLM2-135M-Instruct, or what the server serves.

    cache_dir and batch_size (papers decoded together) concern "transformers", flash_attn both local engines;
    base_url, concurrency, timeout_seconds (for one reply) and max_retries concern "openai", whose key is read
    from the environment variable OPENAI_API_KEY and from nowhere else. EngineError where it cannot be opened.
    """
    if context_size < 1:
        raise EngineError(f"context_size: expected a number of tokens, at least 1, found {context_size}")
    if engine == "llama_cpp":
        from sciqag_lib.engines.llama_cpp import LlamaCppEngine

        return LlamaCppEngine(model, context_size, flash_attn=flash_attn)
    if engine == "transformers":
        from sciqag_lib.engines.transformers import TransformersEngine

        return TransformersEngine(
            model, context_size, cache_dir=cache_dir, flash_attn=flash_attn, batch_size=batch_size
        )
    if engine == "openai":
        from sciqag_lib.engines.openai import OpenAIEngine

        return OpenAIEngine(
            model,
            context_size,
            base_url=base_url,
            concurrency=concurrency,
            timeout_seconds=timeout_seconds,
            max_retries=max_retries,
        )
    raise EngineError(f"engine: expected one of llama_cpp, transformers, openai; found {engine!r}")


def complete(engine: Engine, requests: Iterable[Request]) -> Iterator[Completion]:
    """Completions of `requests`, each as it finishes, never more than `engine.concurrency` in flight."""
    outstanding = 0
    for request in requests:
        engine.submit(request)
        outstanding += 1
        while outstanding >= engine.concurrency:
            done = engine.wait()
            outstanding -= len(done)
            yield from done
    while outstanding:
        done = engine.wait()
        outstanding -= len(done)
        yield from done
