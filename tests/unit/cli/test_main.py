import sys
from pathlib import Path

import httpx
import pytest

from contracts.api import ClassifyRequest
from shared.cli.app import main
from shared.cli.client import problem_of, request_of
from shared.cli.errors import ArgumentRefused
from shared.cli.exits import Exit, exit_of


def test_an_error_is_one_message_without_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["plumb", "status", "--state-dir", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert ended.value.code == Exit.NOT_RUNNING
    assert captured.out == ""
    assert f"No mesh runs in {tmp_path / 'none'}" in captured.err
    assert "plumb up" in captured.err
    assert "Traceback" not in captured.err


def test_an_answer_that_is_no_problem_body_is_shown_as_it_came() -> None:
    request = httpx.Request("GET", "http://127.0.0.1/v1/status")
    problem = problem_of(httpx.Response(502, text="Bad Gateway", request=request))
    assert (problem.status, problem.title, problem.detail) == (502, "HTTP 502", "Bad Gateway")
    assert problem.instance == "/v1/status"


def test_an_argument_that_does_not_fit_is_named() -> None:
    with pytest.raises(ArgumentRefused, match="text: String should have at least 1 character") as refused:
        request_of(ClassifyRequest, text="", user=None, domain="law")
    assert exit_of(refused.value) is Exit.USAGE
