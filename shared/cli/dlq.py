"""`plumb dlq`: messages that could not be handled: what there is, why, and once the reason is gone, back to their topic."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from contracts.topics import TOPICS_BY_NAME, Topic
from shared.cli import screen
from shared.cli.dlq_letters import (
    TOPICS_WITH_LETTERS,
    DeadLetter,
    Place,
    Record,
    chosen_of,
    counts,
    letter_of,
    one_of_each_message,
    place_of,
)
from shared.cli.dlq_topics import DeadLetterTopics, dead_letter_topics
from shared.cli.dlq_views import Letters, details, letter_view, overview, whole_view
from shared.cli.errors import ArgumentRefused, LetterTruncated
from shared.cli.options import DEFAULT_STATE_DIR, AsJson, StateDir
from shared.cli.target import target_of
from shared.embedded.layout import layout_of

group = typer.Typer(no_args_is_help=True, help="Messages that could not be handled.")

Found = TypeVar("Found")
LetterId = Annotated[str, typer.Argument(metavar="ID", help="A letter's id, as `plumb dlq list` shows it.")]
OptionalId = Annotated[str | None, typer.Argument(metavar="[ID]", help="A letter's id; or name --topic or --all.")]
OfTopic = Annotated[str | None, typer.Option("--topic", help="Only this topic's, e.g. batch-received-v1.")]
WithReplayed = Annotated[bool, typer.Option("--all", help="Show those that were replayed, too.")]
Everything = Annotated[bool, typer.Option("--all", help="Replay every letter that has not been replayed.")]
Again = Annotated[bool, typer.Option("--again", help="Replay what was replayed before, too.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before several messages are replayed.")]


@group.command(name="list")
def list_letters(
    *,
    topic: OfTopic = None,
    with_replayed: WithReplayed = False,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """List the dead letters of all topics: where each lies, why, what to do, and how many there are by topic."""
    wanted = _topic_named(topic)
    letters = _on_topics(state_dir, lambda topics: topics.letters(wanted))
    shown = [letter for letter in letters if with_replayed or letter.replayed_at is None]
    if as_json:
        screen.show_json(Letters(letters=tuple(map(letter_view, shown))))
    else:
        screen.stdout().print(overview(letters, shown), soft_wrap=True)


@group.command()
def show(letter_id: LetterId, *, state_dir: StateDir = DEFAULT_STATE_DIR, as_json: AsJson = False) -> None:
    """Show one dead letter: its reason, its headers and its body."""
    place = place_of(letter_id)
    letter, record = _on_topics(state_dir, lambda topics: _whole(topics, place))
    if as_json:
        screen.show_json(whole_view(letter, record))
    else:
        screen.stdout().print(details(letter, record), soft_wrap=True)


@group.command()
def replay(
    letter_id: OptionalId = None,
    *,
    topic: OfTopic = None,
    everything: Everything = False,
    again: Again = False,
    yes: Yes = False,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Send messages to their topic again, as they were, once what stood against them is mended.

    A replayed letter is marked, so that it is not replayed twice by accident. What fails again is a new dead letter.
    """
    if sum([letter_id is not None, topic is not None, everything]) != 1:
        raise ArgumentRefused("What is to be replayed?", next_step="Name one of: a letter's ID, --topic TOPIC, --all.")
    place = place_of(letter_id) if letter_id else None
    wanted = TOPICS_WITH_LETTERS[place.name] if place else _topic_named(topic)

    async def work(topics: DeadLetterTopics) -> list[DeadLetter]:
        letters = await topics.letters(wanted)
        chosen = chosen_of(letters, place, again=again)
        messages = one_of_each_message(chosen)
        if len(messages) > 1 and not yes:
            _ask(messages)
        truncated: LetterTruncated | None = None
        for message in messages:
            try:
                await topics.replay(await topics.record(message[0].place), message)
            except LetterTruncated as error:
                truncated = error
        if truncated:
            # Last, so that it keeps no other message from going back.
            raise truncated
        return chosen

    replayed = _on_topics(state_dir, work)
    if as_json:
        screen.show_json(Letters(letters=tuple(map(letter_view, replayed))))
    elif not replayed:
        typer.echo("no dead letter waits")
    else:
        num_messages = len(one_of_each_message(replayed))
        what = "1 message" if num_messages == 1 else f"{num_messages:,} messages"
        typer.echo(f"{what} sent again. Next: `plumb status`; what fails again is back in `plumb dlq list`")


def _on_topics(state_dir: Path, work: Callable[[DeadLetterTopics], Awaitable[Found]]) -> Found:
    bootstrap_servers = target_of(layout_of(state_dir)).bootstrap_servers

    async def run() -> Found:
        async with dead_letter_topics(bootstrap_servers) as topics:
            return await work(topics)

    return asyncio.run(run())


async def _whole(topics: DeadLetterTopics, place: Place) -> tuple[DeadLetter, Record]:
    record = await topics.record(place)
    known = [letter for letter in await topics.letters(TOPICS_WITH_LETTERS[place.name]) if letter.place == place]
    return (known[0] if known else letter_of(record)), record


def _topic_named(name: str | None) -> Topic | None:
    if name is None:
        return None
    topic = TOPICS_BY_NAME.get(name.removesuffix("-dlq"))
    if topic is None or not topic.has_dead_letters:
        raise ArgumentRefused(
            f"{name!r} is no topic with dead letters.", next_step=f"One of: {', '.join(_names_of_topics())}."
        )
    return topic


def _names_of_topics() -> list[str]:
    return [topic.name for topic in TOPICS_WITH_LETTERS.values()]


def _ask(messages: Sequence[Sequence[DeadLetter]]) -> None:
    by_topic = counts([letters[0] for letters in messages])
    which = ", ".join(f"{sum(numbers):,} to {name}" for name, numbers in by_topic.items())
    typer.confirm(f"Send {len(messages):,} messages again ({which})?", abort=True)
