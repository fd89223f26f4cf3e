"""The state directory: where everything of one embedded mesh lies, and what is made once in it."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

LOG_LIMIT_BYTES = 8 * 1024 * 1024
KEPT_LOGS = 3


@dataclass(frozen=True)
class Layout:
    """Paths in a state directory.

    Attributes:
        root: The state directory, absolute.
    """

    root: Path

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.root / "mesh.lock"

    @property
    def record(self) -> Path:
        """Addresses and processes of the mesh, for the CLI."""
        return self.root / "mesh.json"

    @property
    def token(self) -> Path:
        """The operator's token, readable by its owner only."""
        return self.root / "operator.token"

    @property
    def artifacts(self) -> Path:
        """The artifact store."""
        return self.root / "artifacts"

    @property
    def artifacts_url(self) -> str:
        """The artifact store as an fsspec URL, which knows no percent-encoding."""
        return f"file://{self.artifacts}"

    @property
    def last_answer(self) -> Path:
        """The id of the last answer that `plumb ask` got."""
        return self.root / "last-answer"

    def of(self, name: str) -> Path:
        """Return the private folder of a process."""
        return self.root / name

    def log(self, name: str) -> Path:
        """Return the file that a process's output goes to."""
        return self.root / "logs" / f"{name}.log"


def layout_of(state_dir: Path) -> Layout:
    """Return the layout of a state directory; nothing is made yet."""
    return Layout(state_dir.expanduser().resolve())


def prepare(layout: Layout, names: tuple[str, ...]) -> None:
    """Make the folders of a mesh with these processes."""
    for folder in (layout.root, layout.artifacts, layout.log("any").parent, *(layout.of(name) for name in names)):
        folder.mkdir(parents=True, exist_ok=True)


def operator_token(layout: Layout) -> str:
    """Return the operator's token, made once per state directory with mode 0600."""
    if not layout.token.exists():
        draft = layout.token.with_suffix(f".{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
        draft.replace(layout.token)
    return layout.token.read_text(encoding="ascii").strip()


def rotate(log: Path, *, limit_bytes: int = LOG_LIMIT_BYTES, kept: int = KEPT_LOGS) -> None:
    """Move a log beyond the limit to `.1`, the one before it to `.2`, and so on; the oldest is overwritten."""
    if not log.exists() or log.stat().st_size < limit_bytes:
        return
    for number in range(kept - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    log.replace(log.with_name(f"{log.name}.1"))
