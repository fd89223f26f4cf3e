"""Whether a schema may replace an older one while daemons of both versions run, and messages of both lie in topics.

Producers and consumers are rolled separately, so both directions count: what an old one wrote a new one must read, and what a new
one writes an old one must read. What is left is little, and enough: a new field with a default, and other words.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = dict[str, Any]

BOUNDS = (
    "minimum", "exclusiveMinimum", "minLength", "minItems", "maximum", "exclusiveMaximum", "maxLength", "maxItems",
)  # fmt: skip
FIXED = ("type", "pattern", "format", "const", "default", "propertyNames", "uniqueItems")


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """Return one line for each change that needs a topic of the next version; empty: the new schema may replace the old one."""
    return list(_compare(old, new, old, new, at=""))


def breaking_channel_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the same for the channels and messages of two AsyncAPI documents: what a topic's key, order and life mean.

    A topic that went counts too: something may still write to it.
    """
    return list(_channel_changes(old, new))


def next_version(topic: str) -> str:
    """Return the name of a topic's next version.

    Example:
        >>> next_version("batch-received-v1")
        'batch-received-v2'
    """
    stem, _, number = topic.rpartition("-v")
    return f"{stem}-v{int(number) + 1}" if stem and number.isdecimal() else f"{topic}-v2"


def explanation(topic: str, changes: list[str]) -> str:
    """Return what a person is told who changed a contract so that it breaks."""
    lines = "\n".join(f"  {change}" for change in changes)
    return (
        f"{topic}: this breaks messages that exist, or daemons that still run:\n{lines}\n"
        f"  Keep the field as it was and add one with a default beside it, or add the topic `{next_version(topic)}` to "
        "contracts/topics.py, publish to both, and drop the old one a version later."
    )


def _channel_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name, before in old["channels"].items():
        after = new["channels"].get(name)
        if after is None:
            yield f"{name}: the topic went"
            continue
        was, now = before["bindings"]["kafka"], after["bindings"]["kafka"]
        if was["partitions"] != now["partitions"]:
            yield f"{name}: partitions were {was['partitions']}, are {now['partitions']}: a key would change its partition"
        policies = [one["topicConfiguration"]["cleanup.policy"] for one in (was, now)]
        if policies[0] != policies[1]:
            yield f"{name}: cleanup.policy was {policies[0]}, is {policies[1]}"
    for name, before in old["components"]["messages"].items():
        after = new["components"]["messages"].get(name)
        if after is None:
            continue
        was, now = (one["bindings"]["kafka"]["key"] for one in (before, after))
        if was != now:
            yield f"{name}: the key was {was}, is {now}"
        gained = set(_required_headers(after)) - set(_required_headers(before))
        if gained:
            yield f"{name}: the headers {sorted(gained)} are required now"


def _required_headers(message: Mapping[str, Any]) -> list[str]:
    return list(message.get("headers", {}).get("required", ()))


def _compare(old: Schema, new: Schema, old_root: Schema, new_root: Schema, *, at: str) -> Iterator[str]:
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    if "anyOf" in old or "anyOf" in new:
        yield from _compare_alternatives(old, new, old_root, new_root, at=at)
        return
    yield from _changed(old, new, at=at or "body")
    yield from _compare_fields(old, new, old_root, new_root, at=at)
    for part in ("items", "additionalProperties"):
        before, after = old.get(part), new.get(part)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _compare(before, after, old_root, new_root, at=f"{at}[]")
        elif before != after:
            yield f"{at or 'body'}: {part} was {before}, is {after}"


def _compare_alternatives(old: Schema, new: Schema, old_root: Schema, new_root: Schema, *, at: str) -> Iterator[str]:
    before, after = old.get("anyOf", [old]), new.get("anyOf", [new])
    for one in before:
        if not any(not list(_compare(one, other, old_root, new_root, at=at)) for other in after):
            yield f"{at or 'body'}: the alternative {_name(one)} is no longer taken as it was"
    for other in after:
        if not any(not list(_compare(one, other, old_root, new_root, at=at)) for one in before):
            yield f"{at or 'body'}: the alternative {_name(other)} is new, the old version refuses it"


def _name(schema: Schema) -> str:
    return str(schema.get("$ref", schema.get("type", "?"))).removeprefix("#/$defs/")


def _compare_fields(old: Schema, new: Schema, old_root: Schema, new_root: Schema, *, at: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    needed, needs = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(before.keys() - after.keys()):
        yield f"{at}.{name}: the field went"
    for name in sorted(needs - needed):
        yield f"{at}.{name}: the field is required now"
    for name in sorted((needed - needs) & after.keys()):
        yield f"{at}.{name}: the field may be absent now, the old version needs it"
    for name in sorted(before.keys() & after.keys()):
        yield from _compare(before[name], after[name], old_root, new_root, at=f"{at}.{name}")


def _changed(old: Schema, new: Schema, *, at: str) -> Iterator[str]:
    for key in FIXED:
        if old.get(key) != new.get(key):
            yield f"{at}: {key} was {old.get(key)!r}, is {new.get(key)!r}"
    for key in BOUNDS:
        before, after = old.get(key), new.get(key)
        if before != after:
            verb = "changed" if before is None or after is None else "rose" if after > before else "fell"
            yield f"{at}: {key} {verb} from {before} to {after}"
    yield from _changed_values(old.get("enum"), new.get("enum"), at=at)


def _changed_values(old: list[Any] | None, new: list[Any] | None, *, at: str) -> Iterator[str]:
    if old is None or new is None:
        if old != new:
            yield f"{at}: the values were {old or 'any'}, are {new or 'any'}"
        return
    if lost := [value for value in old if value not in new]:
        yield f"{at}: the values {lost} went"
    if gained := [value for value in new if value not in old]:
        yield f"{at}: the values {gained} are new, the old version refuses them"


def _resolved(schema: Schema, root: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].removeprefix("#/$defs/")
    return {**root["$defs"][name], **{key: value for key, value in schema.items() if key != "$ref"}}
