"""The state directory: where everything of one embedded mesh lies, and what is made once in it."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from shared.artifacts import ArtifactStore
from shared.bundle_signing import sign
from shared.releases import announced
from shared.secrets import BUNDLE, FOLDER_MODE, TOKEN, create
from shared.settings import OperatorSettings
from shared.signing import Signer

LOG_LIMIT_BYTES = 8 * 1024 * 1024
KEPT_LOGS = 3
SUPERVISOR = "supervisor"


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
    def secrets(self) -> Path:
        """The folder of secrets, its owner's only."""
        return self.root / "secrets"

    @property
    def token(self) -> Path:
        """The operator's token."""
        return self.secrets / TOKEN

    @property
    def kafka(self) -> Path:
        """Which topics the mesh worked with, where its Kafka is not its own."""
        return self.root / "kafka.json"

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


def make_secrets(layout: Layout) -> None:
    """Make the secrets of a state directory, once; the token of one from before they had a folder moves into it.

    Raises:
        SecretRefused: What lies there cannot be completed.
    """
    former = layout.root / "operator.token"
    if former.exists() and not layout.token.exists():
        layout.secrets.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        former.replace(layout.token)
    if BUNDLE.private in create(layout.secrets):
        _sign_former_releases(layout)


def _sign_former_releases(layout: Layout) -> None:
    """Sign what was released before bundles were signed, so that it still serves; there is nothing in a new state directory."""
    signer = Signer((layout.secrets / BUNDLE.private).read_text(encoding="ascii"))
    store = ArtifactStore(layout.artifacts_url)
    for digest in {digest for event in announced(store) for digest in event.state.warm_digests}:
        if store.exists(digest):
            sign(store, digest, signer)


def operator_token(layout: Layout) -> str:
    """Return the operator's token of a state directory, or the one that the environment sets."""
    make_secrets(layout)
    token = OperatorSettings(secrets_dir=layout.secrets).operator_token
    return token.get_secret_value() if token else ""


def rotate(log: Path, *, limit_bytes: int = LOG_LIMIT_BYTES, kept: int = KEPT_LOGS, in_use: bool = False) -> None:
    """Move a log beyond the limit to `.1`, the one before it to `.2`, and so on; the oldest is overwritten.

    Args:
        log: The log.
        limit_bytes: Up to here it is left alone.
        kept: So many older ones.
        in_use: A process appends to it: it is copied and emptied, and what is written in between is lost.
    """
    if not log.exists() or log.stat().st_size < limit_bytes:
        return
    for number in range(kept - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    latest = log.with_name(f"{log.name}.1")
    if in_use:
        shutil.copyfile(log, latest)
        os.truncate(log, 0)
    else:
        log.replace(latest)
