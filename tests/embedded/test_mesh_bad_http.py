"""Every field, parameter and header of every HTTP API at its edges, over the wire: answered or refused with a problem body."""

import contextlib
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from requests import Session
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from contracts.api import Problem
from contracts.topics import ALL_DAEMONS
from tests.embedded.live import LiveMesh

pytestmark = [pytest.mark.embedded, pytest.mark.xdist_group("mesh"), pytest.mark.timeout(300)]

NUM_EXAMPLES = 60
ANSWER_WITHIN_S = 10
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
NOTHING_TO_SERVE = "urn:plumbline:problem:nothing-to-serve"
"""The one 503 that is right in an empty mesh; it says what to do."""


@schemathesis.serializer("application/x-ndjson")
def ndjson(_: schemathesis.SerializationContext, document: Any) -> bytes:
    return json.dumps(document).encode() + b"\n"


@pytest.mark.parametrize("daemon", ALL_DAEMONS)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_answers_or_refuses(daemon: str, mode: GenerationMode, live: LiveMesh) -> None:
    restarts = live.process(daemon).restarts
    token = {"authorization": f"Bearer {live.token}"}
    schema = schemathesis.openapi.from_url(live.url(daemon, "/openapi.json"))
    with Session() as session:
        session.trust_env = False
        for operation in (found.ok() for found in schema.get_all_operations()):
            try:
                _check_operation(operation, mode, session, token)
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, "only where every value is a good one is there no bad one"
    assert live.get(daemon, "/readyz").status_code == 200
    assert live.process(daemon).restarts == restarts


def _is_json(response: schemathesis.Response) -> bool:
    return bool(response.content) and "json" in response.headers.get("content-type", [""])[0]


def _check_operation(operation: Any, mode: GenerationMode, session: Session, token: dict[str, str]) -> None:
    @given(operation.as_strategy(generation_mode=mode), st.sampled_from([token, {}]))
    @settings(max_examples=NUM_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def check(case: schemathesis.Case, headers: dict[str, str]) -> None:
        response = case.call(session=session, headers=headers, timeout=ANSWER_WITHIN_S)
        body = json.loads(response.content) if _is_json(response) else {}
        if response.status_code == 503 and body.get("type") == NOTHING_TO_SERVE:
            return
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400 and case.method != "HEAD":  # whose answers have no body
            problem = Problem.model_validate(body)
            assert (problem.status, bool(problem.detail)) == (response.status_code, True)

    check()


@pytest.mark.parametrize("daemon", ALL_DAEMONS)
def test_what_is_no_http_closes_the_connection_and_nothing_else(daemon: str, live: LiveMesh) -> None:
    place = urlsplit(live.url(daemon, "/"))
    garbage = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS greeting
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"POST /v1/classify HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"\x00" * 1000,
    ]
    for bytes_sent in garbage:
        with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=ANSWER_WITHIN_S) as peer:
            answer = b""
            with contextlib.suppress(OSError):  # it may hang up in the middle
                peer.sendall(bytes_sent)
                peer.shutdown(socket.SHUT_WR)
                answer = peer.recv(65_536)
        assert not answer.split(b"\r\n")[0].partition(b" ")[2].startswith(b"5")
    assert httpx.get(live.url(daemon, "/healthz"), trust_env=False).status_code == 200
