"""The error tree.

PlumblineError
+-- PermanentError              retrying cannot help: an event is dead-lettered, a request is refused
|   +-- InvalidEvent            a message does not fit its contract
|   +-- UnknownEventVersion     a message names a version that this mesh does not know
|   +-- InvalidDocuments        a batch holds a document that cannot be taken
|   +-- ArtifactMissing         an event names an artifact that is gone
|   +-- ArtifactCorrupt         an artifact's bytes do not match its digest
|   +-- BundleRefused           a bundle's parts do not belong together
|   +-- SignatureRefused        what must be signed is not, or not by who may
|   +-- CommandUntimely         an operator's command is too old, or from the future
|   +-- CommandReplayed         an operator's command was handled, and has been sent again
|   +-- RunFailed               long work found that it cannot be done
|   +-- ChildCrashed            the child process of a run died again and again
+-- TransientError              retrying can help: the message stays where it is
|   +-- RunClaimed              another process works on the same run
|   +-- RunInterrupted          long work cannot go on at the moment; it resumes
|   +-- RefConflict             another writer replaced a ref first
|   +-- NotTheWriter            another member of the group has the domain, or soon will
|   +-- StorageUnavailable      artifacts cannot be read or written at the moment
|       +-- StorageFull         there is no space left for artifacts
+-- RequestRefused              a request cannot be met now; carries its HTTP status
+-- SecretRefused               a secret is absent or not what it must be; a daemon that needs it does not start
+-- MeshError                   the embedded mesh cannot start, stop or be reached

Each HTTP daemon maps them to RFC 9457 problem bodies in `shared.problems`.
"""


class PlumblineError(Exception):
    """Every error that the mesh raises itself.

    Attributes:
        next_step: What the reader can do about it, or None.
    """

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.next_step = next_step


class PermanentError(PlumblineError):
    """Retrying cannot help."""


class InvalidEvent(PermanentError):
    """A message does not fit its contract."""


class UnknownEventVersion(PermanentError):
    """A message names a type or version that this topic does not carry."""


class InvalidDocuments(PermanentError):
    """A batch holds a document that cannot be taken; nothing of the batch was."""


class ArtifactMissing(PermanentError):
    """No artifact has this digest."""


class ArtifactCorrupt(PermanentError):
    """The bytes that are stored under a digest have another one."""


class BundleRefused(PermanentError):
    """The parts of a bundle do not belong together."""


class SignatureRefused(PermanentError):
    """What must be signed is not, or not by who may; nothing was done with it."""


class CommandUntimely(PermanentError):
    """An operator's command is too old, or from the future; nothing was done with it."""


class CommandReplayed(PermanentError):
    """An operator's command was handled, and has been sent again; its effect was not repeated."""


class RunFailed(PermanentError):
    """Long work found that it cannot be done."""


class ChildCrashed(PermanentError):
    """The child process of a run died again and again; what it had done is kept for another attempt."""


class TransientError(PlumblineError):
    """Retrying can help."""


class RunClaimed(TransientError):
    """Another process works on the same run."""


class RunInterrupted(TransientError):
    """Long work cannot go on at the moment, e.g. since the disk is full; it resumes from its last checkpoint."""


class RefConflict(TransientError):
    """A ref is not what its writer expected: another writer was faster. Read it again, then decide again."""


class NotTheWriter(TransientError):
    """This member of the group may not write for a domain: another has taken it over, or the group is being rearranged."""


class StorageUnavailable(TransientError):
    """Artifacts cannot be read or written at the moment."""


class StorageFull(StorageUnavailable):
    """There is no space left for artifacts."""


class RequestRefused(PlumblineError):
    """A request cannot be met.

    Attributes:
        status: The HTTP status, 400 to 599.
        problem: Names the kind of problem, e.g. `nothing-to-serve`.
        title: The same for people.
    """

    def __init__(self, status: int, problem: str, title: str, detail: str, *, next_step: str | None = None) -> None:
        super().__init__(detail, next_step=next_step)
        self.status = status
        self.problem = problem
        self.title = title


class SecretRefused(PlumblineError):
    """A secret is absent, or it is not what it must be."""


class MeshError(PlumblineError):
    """The embedded mesh cannot start, stop or be reached."""
