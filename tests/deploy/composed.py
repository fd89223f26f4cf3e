"""compose.yaml as the tests see it: merged, and with its variables at their defaults."""

import re
from pathlib import Path
from typing import Any

import yaml

from contracts.topics import ALL_DAEMONS

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "services" / "Dockerfile").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
FILE: dict[str, Any] = yaml.safe_load(VARIABLE.sub(r"\2", SOURCE))
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
DAEMONS = {name: SERVICES[name] for name in ALL_DAEMONS}
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
"""Services that run our images."""
ONE_SHOTS = tuple(name for name in OURS if name not in ALL_DAEMONS and "profiles" not in OURS[name])
SECRETS_DIR = "/var/lib/plumbline/secrets"


def environment(name: str) -> dict[str, str]:
    """Return a service's environment, as its process sees it."""
    return {key: str(value) for key, value in SERVICES[name].get("environment", {}).items()}


def mounts(name: str) -> dict[str, str]:
    """Return a service's volumes by the place where they are mounted, with `:ro` where they are read only."""
    found = {}
    for mount in SERVICES[name].get("volumes", []):
        volume, place, *mode = mount.split(":")
        found[place] = ":".join([volume, *mode])
    return found
