"""Any server with the OpenAI API: vLLM, llama.cpp, Ollama, `transformers serve` or a hosted one.

User and system prompts go to /chat/completions, complete texts to /completions, `concurrency` at a time. The key is
read from the environment variable OPENAI_API_KEY and nowhere else. What is tried again and what is fatal: server.py.

A reply, shortened: {"choices": [{"message": {"content": "Paris."}, "finish_reason": "stop"}],
                     "usage": {"prompt_tokens": 12, "completion_tokens": 3}}
"""

import queue
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from sciqag_lib.engines import Completion, EngineError, Prompt, Request
from sciqag_lib.engines.common import (
    check_text,
    describe_error,
    find_stop,
    make_messages,
    refuse_request,
    tighten_schema,
)
from sciqag_lib.engines.server import RequestFailure, Server

TEMPLATE_TOKENS = 64  # for a chat template nobody can see: role marks and a default system prompt
CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length")  # of GET /models
NEW_LIMIT = "max_completion_tokens"  # what some hosted models want instead of max_tokens


class OpenAIEngine:
    """Implements sciqag_lib.engines.Engine; `model` None is the first model the server names."""

    name = "openai"
    reuses_prefix = False  # most servers do, but none says so
    streams = True

    def __init__(
        self,
        model: str | None = None,
        context_size: int = 8192,
        *,
        base_url: str = "http://127.0.0.1:8000/v1",
        concurrency: int = 8,
        timeout_seconds: float = 300.0,
        max_retries: int = 5,
    ) -> None:
        self.concurrency = concurrency
        self._server = Server(base_url, concurrency, timeout_seconds, max_retries)
        try:
            self._model, self._tokenizer, served_context = self._open(model)
        except BaseException:
            self._server.close()
            raise
        self.model_id = Path(self._model).name if self._model.startswith("/") else self._model
        self.context_size = min(context_size, served_context or context_size)
        self.tokens_exact = self._tokenizer == "llama.cpp"
        counted = f"by {self._tokenizer}'s tokenizer" if self._tokenizer else "by an over-estimate"
        self.description = f"{self.model_id} at {self._server.url}, {concurrency} at a time, tokens counted {counted}"
        self._limit_key = "max_tokens"
        self._num_outstanding = 0
        self._queue: queue.Queue[Request | None] = queue.Queue()
        self._done: queue.Queue[Completion] = queue.Queue()
        for _ in range(concurrency):  # daemons: unlike an executor's, they let an interrupted run end at once
            threading.Thread(target=self._work, daemon=True, name="openai-engine").start()

    def format(self, prompt: Prompt) -> str:
        """Exact where the server shows its template (llama.cpp); else all parts, and count_tokens adds a margin."""
        if prompt.text:
            return prompt.text
        if self._tokenizer == "llama.cpp":
            url = self._server.root + "/apply-template"
            return self._server.post(url, {"messages": make_messages(prompt)})["prompt"]
        return "\n\n".join(message["content"] for message in make_messages(prompt) if message["content"])

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Exact with llama.cpp; with vLLM the text's and a margin for a template; else an over-estimate."""
        return [self._count(text) for text in texts]

    def submit(self, request: Request) -> None:
        self._num_outstanding += 1
        self._queue.put(request)

    def wait(self) -> list[Completion]:
        if not self._num_outstanding:
            return []
        done = [self._done.get()]
        while not self._done.empty():
            done.append(self._done.get())
        self._num_outstanding -= len(done)
        return done

    def close(self) -> None:
        """Ends the threads; one that still reads ends with its reply, which nobody takes."""
        self._server.close()
        for _ in range(self.concurrency):
            self._queue.put(None)

    def __enter__(self) -> "OpenAIEngine":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _count(self, text: str) -> int:
        url = self._server.root + "/tokenize"
        if self._tokenizer == "llama.cpp":
            return len(self._server.post(url, {"content": text, "add_special": True, "parse_special": True})["tokens"])
        if self._tokenizer == "vLLM":
            return TEMPLATE_TOKENS + self._server.post(url, {"model": self._model, "prompt": text})["count"]
        return TEMPLATE_TOKENS + estimate_tokens(text)

    def _open(self, model: str | None) -> tuple[str, str, int | None]:
        """(model, who can count its tokens: "llama.cpp", "vLLM" or "", its context in tokens where the server says)"""
        try:
            listed = self._server.ask("GET", self._server.url + "/models")["data"]
        except httpx.HTTPStatusError as error:
            if error.response.status_code in (401, 403):
                self._server.judge_status(error)
            listed = []  # some servers have no list: the model's name is then taken as given
        except (httpx.TransportError, ValueError, KeyError, TypeError) as error:
            failure = self._server.redact(describe_error(error))
            raise EngineError(
                f"base_url: expected a server with the OpenAI API at {self._server.url}, found: {failure}; "
                "start the server, or correct base_url"
            ) from error
        names = [item["id"] for item in listed]
        if not model and not names:
            raise EngineError(f"model: the server at {self._server.url} lists none; name the one to use")
        model = model or names[0]
        facts = next((item for item in listed if item["id"] == model), {})
        context = next((facts[field] for field in CONTEXT_FIELDS if facts.get(field)), None)
        return model, *self._find_tokenizer(model, context)

    def _find_tokenizer(self, model: str, context: int | None) -> tuple[str, int | None]:
        """(who counts tokens, context) by trying what llama.cpp and vLLM offer beside the OpenAI API."""
        root = self._server.root
        try:
            served = self._server.ask("GET", root + "/props")["default_generation_settings"]["n_ctx"]
            self._server.ask("POST", root + "/apply-template", {"messages": make_messages(Prompt("a"))})["prompt"]
            self._server.ask("POST", root + "/tokenize", {"content": "a"})["tokens"]
            return "llama.cpp", int(served)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            pass
        try:
            found = self._server.ask("POST", root + "/tokenize", {"model": model, "prompt": "a"})
            return ("vLLM", context or int(found["max_model_len"])) if int(found["count"]) else ("", context)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return "", context

    def _work(self) -> None:
        while (request := self._queue.get()) is not None:
            start = time.perf_counter()
            try:
                completion = self._complete(request)
            except Exception as error:  # of this request, unless the server itself is at fault
                fatal = isinstance(error, RequestFailure) and error.fatal
                message = self._server.redact(describe_error(error))
                completion = Completion(request.id, "", "error", error=message, fatal=fatal)
            completion.seconds = time.perf_counter() - start
            self._done.put(completion)

    def _complete(self, request: Request) -> Completion:
        text = self.format(request.prompt)
        check_text(text)
        if request.prompt.json_schema is not None:
            tighten_schema(request.prompt.json_schema)  # refuses what is no schema: llama.cpp would drop it silently
        prompt_tokens = self.count_tokens([text])[0]
        refused = refuse_request(request, prompt_tokens, self.context_size, self.tokens_exact)
        if refused:
            return refused
        path, body = make_body(request, self._model)
        if request.on_text is not None:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        reply = self._post(path, body, request.sampling.max_new_tokens, request.on_text)
        return read_reply(request, reply, prompt_tokens)

    def _post(self, path: str, body: dict[str, Any], limit: int, on_text: Callable[[str], None] | None = None) -> Any:
        url, key = self._server.url + path, self._limit_key
        try:
            return self._server.post(url, {**body, key: limit}, on_text)
        except RequestFailure as failure:
            if key == NEW_LIMIT or NEW_LIMIT not in str(failure):
                raise
        self._limit_key = NEW_LIMIT
        return self._server.post(url, {**body, NEW_LIMIT: limit}, on_text)


def make_body(request: Request, model: str) -> tuple[str, dict[str, Any]]:
    """(path, JSON body without the limit of new tokens) of a request."""
    sampling, schema = request.sampling, request.prompt.json_schema
    body: dict[str, Any] = {
        "model": model,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed % 2**31,
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if schema is not None:
        form = {"name": "reply", "schema": schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    if not request.prompt.text:
        return "/chat/completions", {**body, "messages": make_messages(request.prompt)}
    if schema is not None:
        body["json_schema"] = schema  # llama.cpp's name for it on this path
    return "/completions", {**body, "prompt": request.prompt.text}


def read_reply(request: Request, reply: Any, prompt_tokens: int) -> Completion:
    """The completion in a server's JSON. Reasoning is left out of the text but counted in the tokens."""
    try:
        choice, usage = reply["choices"][0], reply.get("usage")
        cached_tokens = read_cached_tokens(usage)
        usage = {key: n for key, n in usage.items() if isinstance(n, int)} if isinstance(usage, dict) else {}
        message = choice.get("message") or choice
        text = str((message["content"] if "content" in message else message["text"]) or "")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise RequestFailure(f"reply: expected choices[0] with a message or text, found {str(reply)[:300]}") from error
    reasoning = str(message.get("reasoning_content") or message.get("reasoning") or "")
    prompt_tokens = usage.get("prompt_tokens") or prompt_tokens
    new_tokens = usage.get("completion_tokens") or estimate_tokens(text + reasoning)
    reason, error = choice.get("finish_reason"), ""
    if reason == "content_filter":
        reason, error = "error", "the server's content filter ended the reply"
    elif reason != "length":
        reason = "stop"
    text = text[: find_stop(text, request.sampling.stop)]
    return Completion(request.id, text, reason, prompt_tokens, new_tokens, error=error, cached_tokens=cached_tokens)


def read_cached_tokens(usage: Any) -> int:
    """What a reply's usage says of a prefix cache; 0 where it says nothing that can be understood."""
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    count = details.get("cached_tokens") if isinstance(details, dict) else None
    return count if isinstance(count, int) else 0


def estimate_tokens(text: str) -> int:
    """At least as many tokens as the common tokenizers make of `text`: three letters of a word are one, and so is each
    capital of a row of them (DNA), each digit and sign, each byte of anything not ASCII, and white space that does
    not stand single before a letter or sign."""
    capitals = sum(len(row) for row in re.findall(r"[A-Z]{2,}", text))
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]", re.sub(r"[A-Z]{2,}", " ", text))
    signs = len(re.findall(r"[^A-Za-z\s]|\n|\s(?=[\s\d])", text, re.ASCII))
    num_extra_bytes = len(text.encode("utf-8", "replace")) - len(text)
    return capitals + sum(1 + (len(word) - 1) // 3 for word in words) + signs + num_extra_bytes
