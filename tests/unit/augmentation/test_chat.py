"""The adapter of a chat endpoint, against a server of the test's own."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from shared.augmentation.back_translation import augmented_by_back_translation
from shared.augmentation.chat import (
    ChatBackTranslation,
    ChatEndpoint,
    TranslationRefused,
    TranslationUnavailable,
)
from shared.augmentation.records import TrainingText

WORDS = {"向主管部门汇报。": "Report to the authority.", "由法院审理。": "Tried by the court."}
BACK = {"Report to the authority.": "报告主管机关。", "Tried by the court.": "由法院审判。"}


class Server(ThreadingHTTPServer):
    """Answers as a chat endpoint with a dictionary for a model."""

    daemon_threads = True
    status = 200
    body: bytes | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None, dict[str, Any]]] = []
        self.endpoint = ChatEndpoint(
            base_url=f"http://127.0.0.1:{self.server_port}/v1/", model="m", api_key="k", timeout_s=5
        )

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away: one failure ends the others' requests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers["Authorization"], asked))
        text = asked["messages"][-1]["content"]
        answer = {"choices": [{"message": {"role": "assistant", "content": (WORDS | BACK)[text] + "\n"}}]}
        body = self.server.body if self.server.body is not None else json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_translates_there_and_back(server: Server):
    originals = [TrainingText(text=text, group="专利法") for text in WORDS]

    async with ChatBackTranslation(server.endpoint) as translation:
        made = await augmented_by_back_translation(originals, ["0", "1"], translation)

    assert [one.text for one in made.texts] == ["报告主管机关。", "由法院审判。"]
    assert [one.augmented_from for one in made.texts] == ["0", "1"]
    path, authorization, asked = server.requests[0]
    assert (path, authorization) == ("/v1/chat/completions", "Bearer k")
    assert (asked["model"], asked["temperature"]) == ("m", 0)
    assert "from Chinese to English" in asked["messages"][0]["content"]
    assert "from English to Chinese" in server.requests[-1][2]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, b"", TranslationUnavailable),
        (429, b"", TranslationUnavailable),
        (401, b"", TranslationRefused),
        (302, b"", TranslationRefused),
        (200, b"no json", TranslationRefused),
        (200, b"[]", TranslationRefused),
        (200, b'{"choices": []}', TranslationRefused),
        (200, b'{"choices": [{"message": {"content": null}}]}', TranslationRefused),
        (200, b'{"choices": [{"message": {"content": " "}}]}', TranslationRefused),
    ],
)
async def test_says_whether_to_try_again(server: Server, status: int, body: bytes, error: type[Exception]):
    server.status, server.body = status, body

    async with ChatBackTranslation(server.endpoint) as translation:
        with pytest.raises(error) as raised:
            await translation.there(list(WORDS))

    assert raised.value.next_step


async def test_an_endpoint_that_is_not_there():
    endpoint = ChatEndpoint(base_url="http://127.0.0.1:9", model="m", timeout_s=2)

    async with ChatBackTranslation(endpoint) as translation:
        with pytest.raises(TranslationUnavailable, match="cannot be reached"):
            await translation.back(["a"])
