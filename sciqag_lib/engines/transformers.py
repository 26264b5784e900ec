"""Any causal language model that Hugging Face transformers reads: a local folder, a hub id or a GGUF file.

Prompts of similar length are decoded together: each is prefilled alone (no padding is computed, and what two prompts
have in common is computed once), then their caches are padded on the left and the replies written side by side.
Each row has its own limits, stop strings, JSON schema, temperature, top_p and seed, so a reply does not depend on
its neighbours but for rounding: in bfloat16 two tokens of nearly equal score may change places.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sciqag_lib.engines import Completion, EngineError, Prompt, Request
from sciqag_lib.engines.common import (
    check_text,
    describe_error,
    find_packaged_model,
    find_stop,
    make_messages,
    patient_threads,
    refuse_request,
    render_chat,
    tighten_schema,
)
from sciqag_lib.engines.loading import (
    choose_attention,
    choose_dtype,
    count_positions,
    has_plain_cache,
    identify_model,
    list_eos,
    load_model,
)

with patient_threads():
    import torch
    import transformers

MAX_BATCH_TOKENS = 32768  # rows times (longest prompt + reply): bounds the memory of the cache
MIN_SHARED_TOKENS = 32  # a shorter common beginning is not worth a copy of its cache


class TransformersEngine:
    """Implements sciqag_lib.engines.Engine; `model` is a folder, a hub id or a .gguf path, None the packaged GGUF."""

    name = "transformers"
    tokens_exact = True
    streams = True

    def __init__(
        self,
        model: str | None = None,
        context_size: int = 8192,
        *,
        cache_dir: str | None = None,
        flash_attn: bool = True,
        batch_size: int = 8,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = choose_dtype(self.device)
        attention, reason = choose_attention(self.device, flash_attn)
        source = str(model or find_packaged_model())
        self._tokenizer, self._model = load_model(source, cache_dir, self.dtype, attention)
        self._model = self._model.to(self.device).eval()
        self.model_id = identify_model(source, self._model)
        self.context_size = min(context_size, count_positions(self._model.config) or context_size)
        self.batch_size = batch_size
        self.concurrency = 4 * batch_size  # so that prompts of similar length can be found
        self.description = (
            f"{self.model_id} on {self.device.type} in {str(self.dtype).removeprefix('torch.')}, "
            f"attention {attention}{reason}, {batch_size} prompts at a time"
        )
        self._eos = list_eos(self._model, self._tokenizer)
        self._plain_cache = self.reuses_prefix = has_plain_cache(self._model)
        self._last_prefill: tuple[list[int], list[tuple[torch.Tensor, torch.Tensor]]] = ([], [])
        self._grammar_tokenizer: Any = None
        self._waiting: list[tuple[Request, list[int]]] = []
        self._refused: list[Completion] = []

    def format(self, prompt: Prompt) -> str:
        if prompt.text:
            return prompt.text
        if not self._tokenizer.chat_template:
            raise EngineError(f"{self.model_id} has no chat template: give a complete prompt (Prompt.text) instead")
        return render_chat(self._tokenizer, make_messages(prompt), add_generation_prompt=True)

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(self._tokenize(text)) for text in texts]

    def submit(self, request: Request) -> None:
        try:
            ids = self._tokenize(self.format(request.prompt))
            refused = refuse_request(request, len(ids), self.context_size)
            if request.prompt.json_schema is not None:
                tighten_schema(request.prompt.json_schema)  # before it is in a batch
        except Exception as error:  # of this request alone
            refused = Completion(request.id, "", "error", error=describe_error(error))
        if refused:
            self._refused.append(refused)
        else:
            self._waiting.append((request, ids))

    def wait(self) -> list[Completion]:
        done, self._refused = self._refused, []
        if done or not self._waiting:
            return done
        return self._complete_batch(self._take_batch())

    def close(self) -> None:
        """Frees the model's memory."""
        self._model = self._grammar_tokenizer = None
        self._last_prefill = ([], [])
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def __enter__(self) -> "TransformersEngine":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _tokenize(self, text: str) -> list[int]:
        check_text(text)
        bos = self._tokenizer.bos_token  # a chat template writes it itself: never twice
        special = not (bos and text.startswith(bos))
        return self._tokenizer(text, add_special_tokens=special)["input_ids"]

    def _take_batch(self) -> list[tuple[Request, list[int]]]:
        """The oldest request and those nearest to it in length, within batch_size rows and MAX_BATCH_TOKENS."""
        oldest = len(self._waiting[0][1])
        order = sorted(range(len(self._waiting)), key=lambda index: abs(len(self._waiting[index][1]) - oldest))
        chosen: list[int] = []
        for index in order[: self.batch_size]:
            rows = [self._waiting[other] for other in [*chosen, index]]
            widest = max(len(ids) for _, ids in rows) + max(request.sampling.max_new_tokens for request, _ in rows)
            if chosen and len(rows) * widest > MAX_BATCH_TOKENS:
                break
            chosen.append(index)
        batch = [self._waiting[index] for index in sorted(chosen)]
        self._waiting = [item for index, item in enumerate(self._waiting) if index not in set(chosen)]
        return batch

    def _complete_batch(self, batch: list[tuple[Request, list[int]]]) -> list[Completion]:
        start = time.perf_counter()
        try:
            completions = self._generate(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                completions = [Completion(batch[0][0].id, "", "error", len(batch[0][1]), error=describe_error(error))]
            else:
                half = len(batch) // 2
                return self._complete_batch(batch[:half]) + self._complete_batch(batch[half:])
        except Exception as error:  # one bad row must not take its neighbours along: each is tried alone
            if len(batch) > 1:
                return [completion for item in batch for completion in self._complete_batch([item])]
            completions = [Completion(batch[0][0].id, "", "error", len(batch[0][1]), error=describe_error(error))]
        for completion in completions:
            completion.seconds = (time.perf_counter() - start) / len(batch)
        return completions

    @torch.inference_mode()
    def _generate(self, batch: list[tuple[Request, list[int]]]) -> list[Completion]:
        rows = [Row(request, ids, self._open_grammar(request)) for request, ids in batch]
        logits, cache, mask = self._prefill([row.ids for row in rows])
        running = list(rows)
        while True:
            tokens = choose_tokens(running, logits)
            kept = [
                index for index, row in enumerate(running) if not row.add(tokens[index], self._eos, self._tokenizer)
            ]
            for row in running:
                row.show(self._tokenizer)
            if not kept:
                return [row.make_completion(self._tokenizer) for row in rows]
            if len(kept) < len(running):  # a finished row is no longer computed
                running = [running[index] for index in kept]
                chosen = torch.tensor(kept, device=self.device)
                cache.batch_select_indices(chosen)
                mask = mask[chosen]
            mask = torch.cat([mask, mask.new_ones(len(kept), 1)], dim=1)
            newest = torch.tensor([[row.new_ids[-1]] for row in running], device=self.device)
            logits = self._forward(newest, mask, cache)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, cache: Any) -> torch.Tensor:
        """Logits (rows, vocabulary) in float32 after the last of `ids` (rows, new tokens); `mask` covers the cache."""
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        padded = not bool(mask.all())  # without a mask torch takes its fastest attention
        output = self._model(
            input_ids=ids,
            attention_mask=mask if padded else None,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].float()

    def _prefill(self, prompts: list[list[int]]) -> tuple[torch.Tensor, Any, torch.Tensor]:
        """(logits after each prompt, their cache padded on the left, its mask (rows, widest prompt))"""
        width = max(len(ids) for ids in prompts)
        mask = self._tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts])
        if not self._plain_cache:  # sliding windows and states are not cut and joined: all rows are padded
            cache = transformers.DynamicCache(config=self._model.config)
            padded = self._tensor([[0] * (width - len(ids)) + ids for ids in prompts])
            return self._forward(padded, mask, cache), cache, mask
        logits, layers = zip(*[self._prefill_one(ids) for ids in prompts])
        joined = [[_join_left_padded(tensors, width) for tensors in zip(*layer)] for layer in zip(*layers)]
        return torch.cat(logits), transformers.DynamicCache(ddp_cache_data=joined), mask

    def _prefill_one(self, ids: list[int]) -> tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
        """(logits, keys and values per layer) of one prompt; what it shares with the one before is not computed."""
        last_ids, last_layers = self._last_prefill
        shared = min(count_shared(ids, last_ids), len(ids) - 1)
        past = [(keys[:, :, :shared], values[:, :, :shared]) for keys, values in last_layers]
        cache = transformers.DynamicCache(ddp_cache_data=past if shared >= MIN_SHARED_TOKENS else None)
        new = self._tensor([ids[cache.get_seq_length() :]])
        logits = self._forward(new, self._tensor([[1] * len(ids)]), cache)
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        self._last_prefill = (ids, layers)
        return logits, layers

    def _tensor(self, rows: list[list[int]]) -> torch.Tensor:
        return torch.tensor(rows, device=self.device)

    def _open_grammar(self, request: Request) -> Any:
        """A matcher that says which tokens may come next, or None; the library is the one inside llama.cpp."""
        if request.prompt.json_schema is None:
            return None
        import llguidance
        import llguidance.hf

        if self._grammar_tokenizer is None:
            size = self._model.get_output_embeddings().weight.shape[0]
            self._grammar_tokenizer = llguidance.hf.from_tokenizer(self._tokenizer, n_vocab=size, eos_token=self._eos)
        grammar = llguidance.LLMatcher.grammar_from_json_schema(tighten_schema(request.prompt.json_schema))
        return llguidance.LLMatcher(self._grammar_tokenizer, grammar)


@dataclass
class Row:
    """One prompt of a batch and its reply so far."""

    request: Request
    ids: list[int]
    grammar: Any = None
    new_ids: list[int] = field(default_factory=list)
    finish_reason: str = ""
    num_shown: int = 0  # characters given to on_text

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.request.sampling.seed % 2**63)
        # A token is at least one byte, so the longest stop string lies within as many tokens, and one more in case it
        # begins inside one.
        self.tail = 1 + max((len(stop.encode()) for stop in self.request.sampling.stop), default=0)

    def add(self, token: int, eos: list[int], tokenizer: Any) -> bool:
        """Takes one more token; True when the reply is finished."""
        self.new_ids.append(token)
        stop = self.request.sampling.stop
        if self.grammar is not None:
            self.grammar.consume_token(token)
        if token in eos or (self.grammar is not None and self.grammar.is_stopped()):
            self.finish_reason = "stop"
        elif stop and find_stop(tokenizer.decode(self.new_ids[-self.tail :]), stop) is not None:
            self.finish_reason = "stop"
        elif len(self.new_ids) >= self.request.sampling.max_new_tokens:
            self.finish_reason = "length"
        return bool(self.finish_reason)

    def show(self, tokenizer: Any) -> None:
        """Give on_text what is new, but nothing that may be half a character or the beginning of a stop string."""
        if self.request.on_text is None:
            return
        text = self._decode(tokenizer)
        held = 0 if self.finish_reason else max(map(len, self.request.sampling.stop), default=0)
        text = text[: len(text) - held] if held else text
        if not self.finish_reason:
            text = text.rstrip("\ufffd")
        if len(text) > self.num_shown:
            self.request.on_text(text[self.num_shown :])
            self.num_shown = len(text)

    def make_completion(self, tokenizer: Any) -> Completion:
        text = self._decode(tokenizer)
        return Completion(self.request.id, text, self.finish_reason, len(self.ids), len(self.new_ids))

    def _decode(self, tokenizer: Any) -> str:
        text = tokenizer.decode(self.new_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text[: find_stop(text, self.request.sampling.stop)]


def choose_tokens(rows: list[Row], logits: torch.Tensor) -> list[int]:
    """The next token of each row from its `logits` (rows, vocabulary), by its own schema, temperature and seed."""
    for index, row in enumerate(rows):
        if row.grammar is not None:
            allowed = np.unpackbits(np.frombuffer(row.grammar.compute_bitmask(), dtype=np.uint8), bitorder="little")
            forbidden = torch.from_numpy(allowed == 0)[: logits.shape[1]].to(logits.device)
            logits[index, : len(forbidden)].masked_fill_(forbidden, -torch.inf)
    tokens = logits.argmax(dim=-1).tolist()
    for index, row in enumerate(rows):
        if row.request.sampling.temperature > 0:
            tokens[index] = sample_token(logits[index].cpu(), row)
    return tokens


def sample_token(logits: torch.Tensor, row: Row) -> int:
    """One token by temperature and nucleus sampling (Holtzman et al. 2020): the likeliest that make up top_p. The sort
    is stable because bfloat16 often ties two scores, and argmax takes the first."""
    sampling = row.request.sampling
    scores, tokens = (logits / sampling.temperature).softmax(dim=-1).sort(descending=True, stable=True)
    before = scores.cumsum(dim=-1) - scores  # probability of all likelier tokens; the likeliest is always kept
    kept = scores.masked_fill(before >= sampling.top_p, 0.0)
    kept[0] = scores[0]
    return int(tokens[torch.multinomial(kept, 1, generator=row.generator)])


def count_shared(first: list[int], second: list[int]) -> int:
    """How many tokens two prompts have in common at their beginning."""
    shortest = min(len(first), len(second))
    return next((index for index in range(shortest) if first[index] != second[index]), shortest)


def _join_left_padded(tensors: tuple[torch.Tensor, ...], width: int) -> torch.Tensor:
    """Cache tensors (1, heads, tokens, size) of several prompts as one (rows, heads, width, size)."""
    return torch.cat([torch.nn.functional.pad(one, (0, 0, width - one.shape[2], 0)) for one in tensors])
