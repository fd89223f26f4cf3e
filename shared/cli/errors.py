"""What can go wrong on the command line; each error says what, where and what to do next."""

from contracts.api import Problem
from shared.errors import MeshError


class ProblemAnswered(MeshError):
    """A daemon answered with a problem body.

    Attributes:
        problem: The body.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title}: {problem.detail}", next_step=problem.next)
        self.problem = problem


class DaemonUnreachable(MeshError):
    """A daemon of a running mesh does not answer."""


class FileRefused(MeshError):
    """A file holds a line that cannot be sent."""


class RowRefused(FileRefused):
    """A row of a file is no document; the others may be.

    Attributes:
        what: Where and why, without what became of the file.
    """

    def __init__(self, what: str, *, next_step: str) -> None:
        super().__init__(f"{what}; nothing was sent.", next_step=next_step)
        self.what = what


class AnswerCutOff(MeshError):
    """A completion ended before it was done."""


class NoAnswerYet(MeshError):
    """The last answer was asked for, and there is none."""


class ArgumentRefused(MeshError):
    """An argument does not fit what a daemon takes."""


class UnknownLetter(MeshError):
    """No dead letter lies at a place, or an id is none."""


class LetterReplayed(MeshError):
    """A dead letter was replayed already."""


class LetterTruncated(MeshError):
    """A dead letter holds only the beginning of its message."""


class BrokerUnreachable(MeshError):
    """The broker of a running mesh does not answer."""


class PackageMissing(MeshError):
    """Something optional was asked for whose package is not installed."""


class NothingToReport(MeshError):
    """There is nothing that a report could tell of."""
