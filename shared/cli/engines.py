"""Options that name engines which somebody else runs, for the commands that start a mesh."""

from typing import Annotated

import typer
from pydantic import ValidationError

from shared.cli.errors import ArgumentRefused
from shared.embedded.settings import EngineSettings

PREFIX = "PLUMBLINE_ENGINES__"

Kafka = Annotated[
    str | None,
    typer.Option("--kafka", envvar=f"{PREFIX}KAFKA", help="Use this Apache Kafka (host:port,..) instead of an own broker."),
]  # fmt: skip
Redis = Annotated[
    str | None, typer.Option("--redis", envvar=f"{PREFIX}REDIS", help="Use this Redis (URL) instead of an own cache.")
]
Elasticsearch = Annotated[
    str | None,
    typer.Option("--elasticsearch", envvar=f"{PREFIX}ELASTICSEARCH", help="Keep telemetry in this Elasticsearch (URL)."),
]  # fmt: skip
FreshTopics = Annotated[
    bool,
    typer.Option("--fresh-topics", envvar=f"{PREFIX}FRESH_TOPICS", help="Delete the mesh's topics on that Kafka first."),
]  # fmt: skip


def engines_of(
    kafka: str | None, redis: str | None, elasticsearch: str | None, *, fresh_topics: bool
) -> EngineSettings:
    """Return the engines of a command line.

    Raises:
        ArgumentRefused: One of them is no address.
    """
    try:
        return EngineSettings(kafka=kafka, redis=redis, elasticsearch=elasticsearch, fresh_topics=fresh_topics)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False, include_input=False)
        raise ArgumentRefused(
            f"--{first['loc'][0]}: {first['msg']}",
            next_step="e.g. --kafka localhost:9092 --redis redis://localhost:6379/0",
        ) from error
