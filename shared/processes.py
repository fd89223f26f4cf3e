"""What tells one process from another for ever: pids are given again, and a process's wall-clock start moves with the clock."""

from pathlib import Path

import psutil


def boot_id() -> str:
    """Return Linux's name of this run of the host; empty elsewhere."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def started_s(process: psutil.Process) -> float:
    """Return when a process was started, in seconds from the host's start, which no jump of the clock changes.

    Raises:
        psutil.Error: It has gone.
    """
    return float(process.create_time() - psutil.boot_time())
