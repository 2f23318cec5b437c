"""A server that speaks OpenAI's chat completions, and says what a test tells it to."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INSIGHT: dict[str, Any] = {
    "summary": "Two people talk about the harbour.",
    "topics": ["harbour", "ships"],
    "action_items": [{"task": "Paint the boat", "owner": "Ann", "due": None}],
    "sentiment": {"label": "positive", "explanation": "They like the harbour."},
}


@dataclass(frozen=True)
class Said:
    """One answer: a completion with this text, or another status or body; `seconds` to wait before it."""

    text: str = json.dumps(INSIGHT)
    status: int = 200
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    finish_reason: str = "stop"
    refusal: str | None = None

    def document(self, model: str) -> str:
        """The answer's body."""
        if self.body is not None:
            return self.body
        if self.status != 200:
            return json.dumps({"error": {"message": "no", "type": "error", "code": None, "param": None}})
        message = {"role": "assistant", "content": self.text, "refusal": self.refusal}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason, "logprobs": None}
        return json.dumps(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": f"{model}-2026",
                "choices": [choice],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
            }
        )


class ChatServer:
    """Gives its answers in order, the last one for ever, and remembers what it was asked."""

    def __init__(self, *answers: Said) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self._answers = list(answers or (Said(),))
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = server._next(self.path, asked, self.headers.get("Authorization"))
                time.sleep(answer.seconds)
                body = answer.document(asked["model"]).encode()
                try:
                    self.send_response(answer.status)
                    for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # a client that did not want to wait

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    @contextmanager
    def running(self) -> Iterator["ChatServer"]:
        """Serve while the block runs."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def said_to(self, number: int) -> str:
        """All that the model was told in a request, as one text."""
        return "\n".join(message["content"] for message in self.requests[number]["messages"])

    def _next(self, path: str, asked: dict[str, Any], key: str | None) -> Said:
        with self._lock:
            if path != "/v1/chat/completions":
                return Said(status=404)
            self.requests.append(asked)
            self.keys.append(key)
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
