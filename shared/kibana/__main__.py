"""`python -m shared.kibana`: a one-shot for Docker Compose and Kubernetes."""

import httpx

from shared.kibana.load import TIMEOUT_S, Settings, load

if __name__ == "__main__":
    settings = Settings()
    with httpx.Client(base_url=settings.kibana.url, timeout=TIMEOUT_S, trust_env=False) as client:
        loaded = load(client, settings)
    said = f"{loaded} objects loaded into" if loaded else "no Kibana answered, so nothing was loaded, at"
    print(f"kibana: {said} {settings.kibana.url}")  # noqa: T201 (a program of its own)
