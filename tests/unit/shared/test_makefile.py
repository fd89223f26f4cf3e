"""`make install` says why it cannot go on."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOO_OLD = """#!/bin/sh
test "$1" = --version && echo Python 3.9.6
exit 1
"""
PIP_FAILS = """#!/bin/sh
case "$*" in *--index-url*) echo "ERROR: certificate expired" ;; *) echo "ERROR: no such wheel" ;; esac >&2
exit 1
"""
MAKES_VENV = f"""#!/bin/sh
test "$2" = venv || exit 0
mkdir -p "$3/bin"
cat > "$3/bin/python" <<'END'
{PIP_FAILS}END
chmod +x "$3/bin/python"
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def install(folder: Path, python: str) -> "subprocess.CompletedProcess[str]":
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    fake = folder / "fake-python"
    fake.write_text(python)
    fake.chmod(0o755)
    return subprocess.run(
        ["make", "install", f"PYTHON={fake}", "VENV=venv"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_python_that_is_too_old_is_named_before_anything_is_made(tmp_path: Path) -> None:
    done = install(tmp_path, TOO_OLD)

    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "Python 3.9.6" in done.stderr
    assert "make install PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_the_reason_of_each_failed_try_is_shown(tmp_path: Path) -> None:
    done = install(tmp_path, MAKES_VENV)

    assert done.returncode != 0
    assert "certificate expired" in done.stderr
    assert "no such wheel" in done.stderr
    assert "No CPU build of torch" in done.stderr
