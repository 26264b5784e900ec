"""Any GGUF model through llama.cpp, in this process (package xllamacpp): the default, and fast for short prompts.

One slot, so that a prompt's reply depends on nothing that runs beside it; the key-value cache of the last prompt is
kept, so a prompt that begins like the one before costs only its new tokens. llama.cpp's server always listens on a
loopback port, used here to tokenize and to apply the chat template: it is locked with a random key.
"""

import gc
import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sciqag_lib.engines import Completion, EngineError, Prompt, Request
from sciqag_lib.engines.common import (
    check_text,
    count_threads,
    describe_error,
    find_packaged_model,
    hash_files,
    join_chunks,
    make_messages,
    patient_threads,
    read_gguf_context,
    read_piece,
    refuse_request,
    tighten_schema,
)

MIN_CONTEXT = 256  # llama.cpp rounds a context up to a multiple of this


class LlamaCppEngine:
    """Implements sciqag_lib.engines.Engine; `model` is the path of a GGUF file, None the packaged one."""

    name = "llama_cpp"
    tokens_exact = True
    reuses_prefix = True
    streams = True
    concurrency = 1

    def __init__(self, model: str | None = None, context_size: int = 8192, *, flash_attn: bool = True) -> None:
        path = Path(model).expanduser() if model else find_packaged_model()
        self.context_size = min(context_size, read_gguf_context(path))
        self.model_id = f"{path.name} {hash_files([path])}"
        self._server, self._client = _open_server(path, self.context_size, flash_attn)
        self._has_template = bool(self._client.get("/props").json().get("chat_template"))
        self._waiting: deque[Request] = deque()
        self.description = f"{self.model_id} with llama.cpp on {count_threads()} threads"

    def format(self, prompt: Prompt) -> str:
        if prompt.text:
            return prompt.text
        if not self._has_template:
            raise EngineError(f"{self.model_id} has no chat template: give a complete prompt (Prompt.text) instead")
        messages = make_messages(prompt)
        check_text("".join(message["content"] for message in messages))
        return self._post("/apply-template", {"messages": messages})["prompt"]

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(self._tokenize(text)) for text in texts]

    def submit(self, request: Request) -> None:
        self._waiting.append(request)

    def wait(self) -> list[Completion]:
        if not self._waiting:
            return []
        request, start = self._waiting.popleft(), time.perf_counter()
        try:
            completion = self._complete(request)
        except Exception as error:  # of this request alone: the engine goes on with the next
            completion = Completion(request.id, "", "error", error=describe_error(error))
        completion.seconds = time.perf_counter() - start
        return [completion]

    def close(self) -> None:
        """Frees the model's memory. The server has no method for it: it goes with its last reference."""
        if self._server is not None:
            self._client.close()
            self._server = None
            gc.collect()

    def __enter__(self) -> "LlamaCppEngine":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _complete(self, request: Request) -> Completion:
        tokens = self._tokenize(self.format(request.prompt))
        refused = refuse_request(request, len(tokens), self.context_size)
        if refused:
            return refused
        reply = self._ask(_make_body(request, tokens), request.on_text)
        if "error" in reply:
            error = f"llama.cpp: {reply['error'].get('message', reply['error'])}"
            return Completion(request.id, "", "error", len(tokens), error=error)
        choice, usage = reply["choices"][0], reply["usage"]
        return Completion(
            request.id,
            choice["text"],
            choice["finish_reason"],
            usage["prompt_tokens"],
            usage["completion_tokens"],
            cached_tokens=usage["prompt_tokens_details"]["cached_tokens"],
        )

    def _ask(self, body: dict[str, Any], on_text: Callable[[str], None] | None) -> dict[str, Any]:
        if on_text is None:
            return self._server.handle_completions(body)
        chunks: list[dict[str, Any]] = []

        def take(chunk: dict[str, Any]) -> None:
            chunks.append(chunk)
            if "error" not in chunk and (text := read_piece(chunk["choices"][0])):
                on_text(text)

        self._server.handle_completions({**body, "stream": True}, take)
        return join_chunks(chunks)

    def _tokenize(self, text: str) -> list[int]:
        check_text(text)
        return self._post("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = self._client.post(path, json=body)
        if reply.status_code != 200:
            raise EngineError(f"llama.cpp {path}: expected status 200, found {reply.status_code}: {reply.text[:300]}")
        return reply.json()


def _open_server(path: Path, context_size: int, flash_attn: bool) -> tuple[Any, Any]:
    """(xllamacpp.Server, httpx.Client that may talk to it)"""
    import httpx

    xllamacpp = import_xllamacpp()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = max(context_size, MIN_CONTEXT)
    params.n_parallel = 1
    params.cache_prompt = True
    params.cache_ram_mib = 0  # the last prompt stays in its slot; older ones would only fill memory
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = count_threads()
    flash = xllamacpp.llama_flash_attn_type
    params.flash_attn_type = flash.LLAMA_FLASH_ATTN_TYPE_AUTO if flash_attn else flash.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.verbosity = -1
    params.ui = params.endpoint_slots = False
    key = secrets.token_hex(16)
    params.api_keys = [key]
    try:
        server = xllamacpp.Server(params)
    except Exception as error:
        raise EngineError(f"llama.cpp cannot open {path}: expected a whole GGUF model, found: {error}") from error
    client = httpx.Client(
        base_url=server.listening_address, headers={"Authorization": f"Bearer {key}"}, timeout=60.0, trust_env=False
    )
    return server, client


def import_xllamacpp() -> Any:
    with patient_threads():
        import xllamacpp
    return xllamacpp


def _make_body(request: Request, tokens: list[int]) -> dict[str, Any]:
    """The completion request. llama.cpp's own defaults (top_k 40, min_p 0.05) are switched off: a temperature and a
    top_p mean the same with every engine."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "prompt": tokens,
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "samplers": ["temperature", "top_p"],
        "seed": sampling.seed % 2**32,
        "stop": list(sampling.stop),
    }
    if request.prompt.json_schema is not None:
        body["json_schema"] = tighten_schema(request.prompt.json_schema)
    return body
