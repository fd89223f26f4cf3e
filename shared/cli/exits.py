"""Exit codes of `plumb`: the one place that says them, for people and scripts."""

from enum import IntEnum
from http import HTTPStatus

from shared.cli.errors import ArgumentRefused, BrokerUnreachable, DaemonUnreachable, FileRefused, ProblemAnswered
from shared.embedded.errors import MeshAlreadyRunning, MeshNotRunning

INVALID_DOCUMENTS = "urn:plumbline:problem:invalid-documents"


class Exit(IntEnum):
    """How `plumb` ends.

    Attributes:
        OK: Done.
        FAILED: The mesh refused, or something broke; the message says what.
        USAGE: The command line is wrong.
        NOT_RUNNING: No mesh runs in the state directory, or a daemon of it cannot be reached.
        ALREADY_RUNNING: A mesh runs in the state directory.
        BAD_INPUT: A file was refused; nothing of it was taken.
        NOTHING_TO_SERVE: The mesh runs, but cannot do this yet (HTTP 503).
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    ALREADY_RUNNING = 4
    BAD_INPUT = 5
    NOTHING_TO_SERVE = 6


def exit_of(error: Exception) -> Exit:
    """Return the exit code that an error stands for."""
    match error:
        case MeshNotRunning() | DaemonUnreachable() | BrokerUnreachable():
            return Exit.NOT_RUNNING
        case MeshAlreadyRunning():
            return Exit.ALREADY_RUNNING
        case ArgumentRefused():
            return Exit.USAGE
        case FileRefused():
            return Exit.BAD_INPUT
        case ProblemAnswered() if error.problem.type == INVALID_DOCUMENTS:
            return Exit.BAD_INPUT
        case ProblemAnswered() if error.problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return Exit.NOTHING_TO_SERVE
        case _:
            return Exit.FAILED
