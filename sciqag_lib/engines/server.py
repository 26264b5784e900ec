"""Asking an HTTP server for JSON: tries, pauses, deadlines, and a key that is never shown.

A failure that may pass (429, 5xx, a timeout, a dropped connection, a broken reply) is tried again after a growing
pause, or as long as Retry-After asks (RFC 9110: `Retry-After: 2` or an HTTP date). One that every request would meet
(a refused key, an unknown model, no server, a server that hangs) is a RequestFailure with `fatal`.
"""

import email.utils
import json
import math
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from sciqag_lib.engines import EngineError
from sciqag_lib.engines.common import describe_error, join_chunks, read_piece

KEY_VARIABLE = "OPENAI_API_KEY"
CONNECT_SECONDS = 10.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0  # between tries; doubled each time
TIMEOUT_ROUNDS = 2  # as many timeouts as this times `concurrency`, and no answer since: the server hangs
RETRIED_STATUS = {408, 409, 425, 429}  # and every 5xx


class RequestFailure(EngineError):
    """A request that got no usable reply; `fatal` where every other request would fail alike."""

    def __init__(self, message: str, fatal: bool = False) -> None:
        super().__init__(message)
        self.fatal = fatal


class Server:
    """`url` is the root of the API, as in http://127.0.0.1:8000/v1; `root` the same without /v1."""

    def __init__(self, base_url: str, concurrency: int, timeout_seconds: float, max_retries: int) -> None:
        self.url = check_url(base_url)
        self.root = self.url.removesuffix("/v1")
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        self._timeout_seconds, self._max_retries, self._concurrency = timeout_seconds, max_retries, concurrency
        self._timeouts_in_a_row, self._lock = 0, threading.Lock()
        self._closing = threading.Event()
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            limits=httpx.Limits(max_connections=concurrency + 1),
            verify=self.url.startswith("https"),  # certificates take long to load, and http has none
        )

    def ask(self, method: str, url: str, body: Any = None, seconds: float = CONNECT_SECONDS) -> Any:
        """One try within `seconds` in all. Raises httpx.TransportError, httpx.HTTPStatusError, ValueError (no JSON)."""
        deadline = time.monotonic() + seconds
        limits = httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
        received = bytearray()
        with self._client.stream(method, url, json=body, timeout=limits) as reply:
            for chunk in reply.iter_bytes():  # httpx limits the time between two chunks only, not the whole
                received += chunk
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"no whole reply within {seconds:g} seconds")
        if reply.status_code != 200:
            text = received.decode("utf-8", "replace")
            raise httpx.HTTPStatusError(text, request=reply.request, response=reply)
        return json.loads(received)

    def stream(self, url: str, body: dict[str, Any], on_text: Callable[[str], None]) -> Any:
        """One try at a streamed reply (server-sent events, `data: {...}`), joined; `on_text` is given each new piece.
        Raises as `ask` does, and RequestFailure where the stream breaks off: what was shown cannot be taken back."""
        limits = httpx.Timeout(self._timeout_seconds, connect=min(self._timeout_seconds, CONNECT_SECONDS))
        chunks: list[dict[str, Any]] = []
        with self._client.stream("POST", url, json=body, timeout=limits) as reply:
            if reply.status_code != 200:
                text = reply.read().decode("utf-8", "replace")
                raise httpx.HTTPStatusError(text, request=reply.request, response=reply)
            try:
                for line in reply.iter_lines():
                    data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
                    if data and data != "[DONE]":
                        chunks.append(json.loads(data))
                        for choice in chunks[-1].get("choices") or []:
                            if piece := read_piece(choice):
                                on_text(piece)
            except (httpx.TransportError, ValueError) as error:
                if not chunks:
                    raise
                raise RequestFailure(f"{self.url}: the stream broke off: {describe_error(error)}") from error
        joined = join_chunks(chunks)
        if "error" in joined or not chunks:
            raise ValueError(f"expected a stream of chunks, found {str(joined.get('error', chunks))[:300]}")
        return joined

    def post(self, url: str, body: dict[str, Any], on_text: Callable[[str], None] | None = None) -> Any:
        """The reply as JSON, after as many tries as it takes and max_retries allows. Raises RequestFailure."""
        for attempt in range(self._max_retries + 1):
            if self._closing.is_set():
                raise RequestFailure("the engine was closed")
            asked_pause = None
            try:
                if on_text is None:
                    reply = self.ask("POST", url, body, self._timeout_seconds)
                else:
                    reply = self.stream(url, body, on_text)
                self._timeouts_in_a_row = 0
                return reply
            except httpx.HTTPStatusError as error:
                failure = self.judge_status(error)
                asked_pause = read_retry_after(error.response.headers.get("retry-after", ""))
            except (httpx.TransportError, ValueError) as error:
                failure = self._judge_transport(error)
            if attempt < self._max_retries:
                self._closing.wait(choose_pause(attempt, asked_pause))
        raise RequestFailure(f"{failure} ({self._max_retries + 1} tries)", failure.fatal)

    def redact(self, text: str) -> str:
        """`text` without the key, which some servers repeat in their errors."""
        return text.replace(self._key, "***") if self._key else text

    def close(self) -> None:
        self._closing.set()
        self._client.close()

    def judge_status(self, error: httpx.HTTPStatusError) -> RequestFailure:
        """The failure to report if it lasts; raised at once where another try cannot help."""
        status, text = error.response.status_code, self.redact(str(error))[:300]
        found = f"{self.url}: found status {status}: {text}"
        if status in (401, 403):  # the text is left out: it may repeat parts of the key
            held = "it was refused" if self._key else "it is not set"
            raise RequestFailure(f"{self.url}: expected a valid key in {KEY_VARIABLE}, {held} (status {status})", True)
        if status == 402 or "insufficient_quota" in text:
            raise RequestFailure(f"{found}; the account has no credit left", True)
        if status == 404:
            raise RequestFailure(f"{found}; check the model's name and base_url", True)
        if status not in RETRIED_STATUS and status < 500:
            raise RequestFailure(found)
        return RequestFailure(found)

    def _judge_transport(self, error: Exception) -> RequestFailure:
        found = f"{self.url}: {self.redact(describe_error(error))}"
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            return RequestFailure(f"{found}; expected a server there: is it running, and is base_url right?", True)
        if isinstance(error, httpx.TimeoutException):
            with self._lock:
                self._timeouts_in_a_row += 1
            if self._timeouts_in_a_row >= TIMEOUT_ROUNDS * self._concurrency:
                raise RequestFailure(
                    f"{found}; {self._timeouts_in_a_row} timeouts of {self._timeout_seconds:g} s and no reply: "
                    "the server hangs, or it needs a higher timeout_seconds or a lower concurrency",
                    True,
                )
        return RequestFailure(found)


def check_url(base_url: str) -> str:
    """`base_url` without its last slash, and with /v1 where it names only a server. EngineError for anything else."""
    parts = urlsplit(base_url.strip())
    if parts.username or parts.password or parts.query:  # it would end up in reports
        raise EngineError(f"base_url: expected no user, password or query in it; put the key into {KEY_VARIABLE}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EngineError(f"base_url: expected one like http://127.0.0.1:8000/v1, found {base_url!r}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"


def read_retry_after(value: str) -> float | None:
    """Seconds a Retry-After header asks for, or None; it is a number of seconds or a date."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def choose_pause(attempt: int, asked: float | None = None) -> float:
    """Seconds before try `attempt` + 2: what the server asked for, else doubling; at random, so that the threads of
    one run do not come back all at once."""
    if asked is not None and math.isfinite(asked):
        return min(asked, LONGEST_PAUSE_SECONDS) * random.uniform(1.0, 1.1)
    return min(FIRST_PAUSE_SECONDS * 2**attempt, LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0)
