"""A sentence encoder for tests: a vector is looked up by its text, or drawn from a hash of it; no model is read.

FakeEncoder({"Why?": [1, 0]}).encode(["Why?"])  # tensor([[1., 0.]])
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from sciqag_lib.engines.embeddings import Embedder


class FakeEncoder:
    """The part of sentence_transformers.SentenceTransformer that is used. A prompt changes the hash, not the lookup."""

    def __init__(
        self,
        vectors: dict[str, Any] | None = None,
        width: int = 16,
        prompts: dict | None = None,
        default: str | None = None,
        slow: float = 1.0,
        noise: float = 0.0,
    ) -> None:
        self.vectors, self.width, self.prompts, self.default_prompt_name = vectors or {}, width, prompts, default
        self.slow, self.noise = slow, noise  # seconds a call takes in float32, 1 in bfloat16; what the latter adds
        self.clock = [0.0]  # these seconds: no time passes
        self.calls: list[tuple[list[str], str | None]] = []  # texts and prompt
        self.half = False

    def __deepcopy__(self, memo: dict) -> "FakeEncoder":
        twin = FakeEncoder(self.vectors, self.width, self.prompts, self.default_prompt_name, self.slow, self.noise)
        twin.calls, twin.clock = self.calls, self.clock
        return twin

    def to(self, dtype: Any) -> "FakeEncoder":
        import torch

        self.half = dtype == torch.bfloat16
        return self

    def preprocess(self, texts: list[str]) -> dict[str, Any]:
        return {}  # no attention mask: as a model that pads nothing

    def encode(
        self,
        texts: list[str],
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        convert_to_tensor: bool = False,
    ) -> Any:
        import torch

        assert convert_to_tensor and not show_progress_bar and batch_size >= len(texts)
        self.calls.append((list(texts), prompt))
        self.clock[0] += 1.0 if self.half else self.slow
        rows = np.array([self._find_vector(text, prompt or "") for text in texts], np.float32)
        return torch.tensor(rows + self.noise * np.arange(rows.shape[1]) if self.half else rows)

    def _find_vector(self, text: str, prompt: str) -> Any:
        if text in self.vectors:
            return self.vectors[text]
        seed = int.from_bytes(hashlib.sha256((prompt + text).encode()).digest()[:8], "big")
        return np.random.default_rng(seed).standard_normal(self.width)

    @property
    def texts(self) -> list[str]:
        return [text for texts, _ in self.calls for text in texts]


def make_embedder(
    vectors: dict[str, Any] | None = None, cache_dir: Path | None = None, model_id: str = "fake", **more: Any
) -> Embedder:
    return Embedder(FakeEncoder(vectors, **more), model_id, cache_dir)


def write_qas(path: Path, *papers: tuple[str, list[str]], txt: str = "One. Two.") -> Path:
    """A processed output of (doi, questions); every answer is "Because."."""
    records = [
        {
            "doi": doi,
            "txt": txt,
            "title": "",
            "num_Q&A": len(questions),
            "Q&A": [{"Q": question, "A": "Because."} for question in questions],
        }
        for doi, questions in papers
    ]
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    return path
