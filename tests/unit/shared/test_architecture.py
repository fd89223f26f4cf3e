"""The arrow services -> shared -> contracts, and the other rules that import-linter keeps."""

import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_import_contracts_are_kept() -> None:
    linter = Path(sysconfig.get_path("scripts")) / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_nothing_decides_by_a_topics_end_offsets() -> None:
    """The embedded broker's lag behind what can be read: a count up to them would stop short of the newest messages."""
    words = ("end_offsets", "seek_to_end", "highwater", "last_stable_offset")
    users = {
        path.relative_to(ROOT).as_posix()
        for folder in ("contracts", "services", "shared")
        for path in (ROOT / folder).rglob("*.py")
        if any(word in path.read_text() for word in words)
    }
    # The bus begins to follow telemetry near the end, where an older message more does no harm; `plumb dlq` reads on until it has
    # been quiet, the end being only what it must have passed by then.
    assert users == {"shared/bus.py", "shared/cli/dlq_topics.py"}
