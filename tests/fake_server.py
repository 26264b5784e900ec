"""A loopback server with the OpenAI API that fails as it is told: what no real server does on request.

with FakeServer() as server:
    server.script = ["429", "drop"]  # the next requests fail so, later ones are answered
    open_engine("openai", base_url=server.url)
    server.calls  # [(path, body)] of every POST to a completion path, the failed ones too
"""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Failure = tuple[int, str]  # status, body
FAILURES: dict[str, Failure] = {
    "400": (400, '{"error": {"message": "temperature must be at most 2"}}'),
    "402": (402, '{"error": {"message": "no credit"}}'),
    "404": (404, '{"error": {"message": "The model `small` does not exist"}}'),
    "429": (429, '{"error": {"message": "slow down"}}'),
    "quota": (429, '{"error": {"code": "insufficient_quota"}}'),
    "500": (500, '{"error": {"message": "out of memory"}}'),
    "503": (503, "<html>bad gateway</html>"),
    "bad json": (200, '{"choices": [{"mess'),
    "no choices": (200, '{"choices": []}'),
}


class FakeServer:
    """`reply(path, body)` makes the JSON of an answered request; `extra` answers any other path, else status 404."""

    def __init__(self, api_key: str = "", retry_after: str = "") -> None:
        self.api_key, self.retry_after = api_key, retry_after
        self.models: list[dict[str, Any]] | None = [{"id": "small", "max_model_len": 4096}]
        self.extra: dict[str, Callable[[Any], Any]] = {}
        self.script: list[str] = []  # a key of FAILURES, "hang", "drip", "drop", "break off" or "ok"; each is used once
        self.always = ""  # what to do when the script is used up
        self.calls: list[tuple[str, Any]] = []
        self.times: list[float] = []
        self.most_at_once = self._at_once = 0
        self.reply: Callable[[str, Any], Any] = reply_text("Paris.")
        self.released = threading.Event()  # lets go what hangs
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(self))
        self._http.daemon_threads = True
        self.root = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.url = self.root + "/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def next_action(self, path: str, body: Any) -> str:
        with self._lock:
            self.calls.append((path, body))
            self.times.append(time.monotonic())
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            return self.script.pop(0) if self.script else self.always

    def finish(self) -> None:
        with self._lock:
            self._at_once -= 1

    def close(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> "FakeServer":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def reply_text(text: str, finish_reason: str = "stop", **message: str) -> Callable[[str, Any], Any]:
    """A reply function that always says `text`, in the form of the path that was asked."""

    def reply(path: str, body: Any) -> Any:
        said = {"message": {"content": text, **message}} if path == "/v1/chat/completions" else {"text": text}
        usage = {"prompt_tokens": 7, "completion_tokens": 3}
        return {"choices": [{**said, "finish_reason": finish_reason}], "usage": usage}

    return reply


def _make_handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def parse_request(self) -> bool:
            """Once the server is closed, nothing more: a connection that a client keeps would outlive it."""
            if server.released.is_set():
                self.close_connection = True
                return False
            return super().parse_request()

        def do_GET(self) -> None:
            if self.path == "/v1/models" and server.models is not None and self._check_key():
                self._send(200, json.dumps({"data": server.models}))
            elif self.path in server.extra:
                self._send(200, json.dumps(server.extra[self.path](None)))
            elif self.path != "/v1/models" or server.models is None:
                self._send(404, "not found")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path in server.extra:
                self._send(200, json.dumps(server.extra[self.path](body)))
            elif self.path not in ("/v1/chat/completions", "/v1/completions"):
                self._send(404, "not found")
            else:
                action = server.next_action(self.path, body)
                try:
                    if self._check_key():
                        self._act(action, body)
                finally:
                    server.finish()

        def _check_key(self) -> bool:
            sent = self.headers.get("authorization", "")
            if not server.api_key or sent == f"Bearer {server.api_key}":
                return True
            self._send(401, json.dumps({"error": {"message": f"Incorrect API key: {sent}"}}))
            return False

        def _act(self, action: str, body: Any) -> None:
            if action == "hang":
                server.released.wait(60)
                self.close_connection = True
            elif action == "drop":
                self.close_connection = True  # no byte was sent: the client sees the connection end
            elif action == "drip":
                self._drip()
            elif action == "break off":
                self._stream("One, two", whole=False)
            elif action in FAILURES:
                self._send(*FAILURES[action])
            elif body.get("stream"):
                self._stream("One, two, three.", whole=True)
            else:
                self._send(200, json.dumps(server.reply(self.path, body)))

        def _stream(self, text: str, whole: bool) -> None:
            """Server-sent events, a word each; the connection ends before the last where it is not to be `whole`."""
            words = text.split(" ")
            chunks: list[Any] = [{"choices": [{"delta": {"content": word + " "}}]} for word in words[:-1]]
            chunks.append({"choices": [{"delta": {"content": words[-1]}, "finish_reason": "stop"}]})
            chunks.append({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": len(words)}})
            events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
            sent = "".join(events if whole else events[:1]).encode()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(sent) + (0 if whole else 100)))
            self.end_headers()
            self.wfile.write(sent)
            self.close_connection = True

        def _drip(self) -> None:
            """White space for ever, as some servers send to keep a connection: no single read times out."""
            self.send_response(200)
            self.send_header("content-length", "1000000")
            self.end_headers()
            while not server.released.wait(0.02):
                try:
                    self.wfile.write(b" ")
                except OSError:
                    break
            self.close_connection = True

        def _send(self, status: int, text: str) -> None:
            self.send_response(status)
            if server.retry_after and status in (429, 503):
                self.send_header("retry-after", server.retry_after)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

    return Handler
