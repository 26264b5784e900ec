"""A scripted engine for tests: no model, no time, replies from a function.

engine = FakeEngine(lambda request: "Q1: Why?\nA1: Because.")
engine.requests  # every Request it was given, in order
"""

from collections import deque
from collections.abc import Callable

from sciqag_lib.engines import Completion, Prompt, Request


class FakeEngine:
    """Implements sciqag_lib.engines.Engine; a token is a word. A reply that raises becomes an error Completion."""

    name = "fake"
    model_id = description = "fake-model"
    tokens_exact = True
    reuses_prefix = streams = False

    def __init__(
        self, reply: Callable[[Request], str | Completion], context_size: int = 8192, concurrency: int = 1
    ) -> None:
        self.reply, self.context_size, self.concurrency = reply, context_size, concurrency
        self.requests: list[Request] = []
        self.closed = False
        self._waiting: deque[Request] = deque()

    def format(self, prompt: Prompt) -> str:
        return prompt.text or "\n".join(
            part for part in (prompt.system, *(turn.content for turn in prompt.messages), prompt.user) if part
        )

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def submit(self, request: Request) -> None:
        self.requests.append(request)
        self._waiting.append(request)

    def wait(self) -> list[Completion]:
        return [self._answer(self._waiting.popleft())] if self._waiting else []

    def _answer(self, request: Request) -> Completion:
        prompt_tokens, limit = self.count_tokens([self.format(request.prompt)])[0], request.sampling.max_new_tokens
        if prompt_tokens + limit > self.context_size:
            found = f"{prompt_tokens} prompt tokens + {limit} new > context_size {self.context_size}"
            return Completion(request.id, "", "error", prompt_tokens, error=found)
        try:
            reply = self.reply(request)
        except Exception as error:
            return Completion(request.id, "", "error", prompt_tokens, error=f"{type(error).__name__}: {error}")
        if isinstance(reply, Completion):
            return reply
        return Completion(request.id, reply, "stop", prompt_tokens, new_tokens=len(reply.split()))

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> "FakeEngine":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
