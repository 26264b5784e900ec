"""The openai engine against `transformers serve` on a local folder: a server that counts no tokens and shows no
template. Slow: the packaged model is written as a folder, and the server takes its time to start."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sciqag_lib.engines import Prompt, Request, Sampling, complete, open_engine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served_folder(transformers_engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(base_url, folder)"""
    pytest.importorskip("fastapi", reason="needs transformers[serving]: pip install -r requirements.txt")
    folder = tmp_path_factory.mktemp("served") / "model"
    transformers_engine._model.save_pretrained(folder)
    transformers_engine._tokenizer.save_pretrained(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder.parent / "serve.log").open("w")
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(folder), "--host", "127.0.0.1"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=log, env=environment)
    try:
        wait_until_healthy(process, f"http://127.0.0.1:{port}/health", folder.parent / "serve.log")
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def wait_until_healthy(process: subprocess.Popen, url: str, log_path: Path) -> None:
    for _ in range(240):
        assert process.poll() is None, log_path.read_text()[-2000:]
        try:
            if httpx.get(url, timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail(f"transformers serve did not start in 120 s: {log_path.read_text()[-2000:]}")


def test_chat_and_text_on_transformers_serve(served_folder: tuple[str, str], transformers_engine: Any) -> None:
    base_url, folder = served_folder
    with open_engine("openai", folder, 2048, base_url=base_url, concurrency=2, max_retries=1) as engine:
        assert not engine.tokens_exact and engine.context_size == 2048
        chat = Prompt(user="What is photosynthesis?")
        text = Prompt(text=transformers_engine.format(chat))
        requests = [Request("chat", chat, Sampling(12)), Request("text", text, Sampling(12))]
        found = {one.id: one for one in complete(engine, requests)}
        assert found["chat"].error == found["text"].error == ""
        assert "hotosynthesis" in found["chat"].text and "hotosynthesis" in found["text"].text
        assert found["chat"].prompt_tokens == transformers_engine.count_tokens([text.text])[0]
        assert found["chat"].prompt_tokens <= engine.count_tokens([engine.format(chat)])[0]
        assert found["chat"].new_tokens == 12 and found["chat"].finish_reason == "length"
