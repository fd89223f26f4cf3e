"""`plumb demo`: the whole story on real statutes. The demo is loaded only here: other commands need none of it."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from shared.cli.engines import Elasticsearch, FreshTopics, Kafka, Redis, engines_of
from shared.cli.options import DEFAULT_DOMAIN, Domain

DEMO_STATE_DIR = Path(".plumbline-demo")

StateDir = Annotated[
    Path, typer.Option("--state-dir", file_okay=False, help="Emptied first: a run starts clean. Not your mesh's own.")
]


def demo(
    *,
    kafka: Kafka = None,
    redis: Redis = None,
    elasticsearch: Elasticsearch = None,
    fresh_topics: FreshTopics = False,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEMO_STATE_DIR,
) -> None:
    """Play the whole story: ingest, train, release, canary, rollback drill, and why."""
    engines = engines_of(kafka, redis, elasticsearch, fresh_topics=fresh_topics)
    raise typer.Exit(import_module("shared.demo.play").main(state_dir, domain=domain, engines=engines))
