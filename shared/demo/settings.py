"""How the demo differs from the defaults: shorter times of the rollout. Printed at its start, and part of its report.

`python -m shared.demo.settings` prints them as lines of an environment file, for a mesh that the demo does not start itself.
The token budgets of the trainings are the trainer's own defaults, set in `services/trainer/settings.py`.
"""

import sys

DEMO_SETTINGS: dict[str, str] = {
    "PLUMBLINE_ROLLOUT__MIN_CANARY_S": "15",
    "PLUMBLINE_ROLLOUT__MAX_HOLD_S": "120",
    "PLUMBLINE_ROLLOUT__SETTLE_S": "2",
    "PLUMBLINE_ROLLOUT__WINDOW_S": "20",
}
"""Environment of the daemons: variable and value."""

DOCUMENTS_PER_UPLOAD = 4_500
DOCUMENTS_PER_MESSAGE = 300
DRILL_DELAY_MS = 900
"""Three times the latency limit."""
DRILL_AFTER_S = 4.0
"""Healthy seconds of the drill's canary before its fault is armed."""

if __name__ == "__main__":
    sys.stdout.writelines(f"{name}={value}\n" for name, value in DEMO_SETTINGS.items())
