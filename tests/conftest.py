"""The real engines, opened once for all tests; each is skipped, saying so, where its packages are not installed."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sciqag_lib.engines import EngineError, open_engine
from sciqag_lib.engines.common import FEW_SPINS, SPIN_COUNT, find_packaged_model
from sciqag_lib.engines.llama_cpp import import_xllamacpp

os.environ.setdefault(SPIN_COUNT, FEW_SPINS)  # before any test module loads torch


def skip_without(package: str) -> None:
    if importlib.util.find_spec(package) is None:  # not imported: the engine does that in its own way
        pytest.skip(f"needs {package}: pip install -r requirements.txt")


@pytest.fixture(scope="session")
def packaged_model() -> Path:
    """The GGUF of SmolLM2-135M-Instruct."""
    try:
        return find_packaged_model()
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def llama_engine(packaged_model: Path) -> Iterator:
    """llama.cpp on the packaged model, a context of 2,048 tokens."""
    skip_without("xllamacpp")
    with open_engine("llama_cpp", context_size=2048) as engine:
        yield engine


@pytest.fixture(scope="session")
def transformers_engine(packaged_model: Path) -> Iterator:
    """transformers on the packaged model, a context of 2,048 tokens, batches of 4."""
    skip_without("transformers")
    with open_engine("transformers", context_size=2048, batch_size=4) as engine:
        yield engine


@pytest.fixture(scope="session")
def real_server(packaged_model: Path) -> Iterator[str]:
    """The address of llama.cpp's own OpenAI server on loopback, with the packaged model and 2,048 tokens."""
    skip_without("xllamacpp")
    xllamacpp = import_xllamacpp()
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.verbosity = str(packaged_model), 2048, 1, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


@pytest.fixture
def embedder(tmp_path: Path) -> Any:
    """The packaged encoder, with a cache of the test's own."""
    skip_without("sentence_transformers")
    from sciqag_lib.engines.embeddings import open_embedder

    return open_embedder(cache_dir=tmp_path / "cache")
