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
