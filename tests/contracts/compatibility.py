"""Whether a schema still takes everything that an older one took, and still carries what its readers need."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems")
UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
FIXED = ("type", "pattern", "format", "const")


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """Return one line for each change that needs a topic of the next version; empty: the new schema may replace the old one.

    Breaking are: a field that went, a new required field, a changed type, pattern or format, an enum value that went, and a
    narrower limit. Messages of the old schema lie in topics for days, so all of them must stay readable.
    """
    return list(_compare(old, new, old, new, at=""))


def _compare(old: Schema, new: Schema, old_root: Schema, new_root: Schema, *, at: str) -> Iterator[str]:
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    if "anyOf" in old or "anyOf" in new:
        yield from _compare_alternatives(old, new, old_root, new_root, at=at)
        return
    yield from _narrowed(old, new, at=at)
    yield from _compare_fields(old, new, old_root, new_root, at=at)
    for part in ("items", "additionalProperties"):
        if isinstance(old.get(part), dict) and isinstance(new.get(part), dict):
            yield from _compare(old[part], new[part], old_root, new_root, at=f"{at}[]")


def _compare_alternatives(old: Schema, new: Schema, old_root: Schema, new_root: Schema, *, at: str) -> Iterator[str]:
    choices = new.get("anyOf", [new])
    for alternative in old.get("anyOf", [old]):
        if not any(not list(_compare(alternative, choice, old_root, new_root, at=at)) for choice in choices):
            name = alternative.get("$ref", alternative.get("type", "?"))
            yield f"{at or 'body'}: the alternative {name} is no longer taken as it was"


def _compare_fields(old: Schema, new: Schema, old_root: Schema, new_root: Schema, *, at: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in sorted(before.keys() - after.keys()):
        yield f"{at}.{name}: the field went"
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{at}.{name}: the field is required now"
    for name in sorted(before.keys() & after.keys()):
        yield from _compare(before[name], after[name], old_root, new_root, at=f"{at}.{name}")


def _narrowed(old: Schema, new: Schema, *, at: str) -> Iterator[str]:
    where = at or "body"
    for key in FIXED:
        if key in new and old.get(key) != new[key]:
            yield f"{where}: {key} was {old.get(key)!r}, is {new[key]!r}"
    for key in LOWER_BOUNDS:
        if key in new and new[key] > old.get(key, float("-inf")):
            yield f"{where}: {key} rose from {old.get(key)} to {new[key]}"
    for key in UPPER_BOUNDS:
        if key in new and new[key] < old.get(key, float("inf")):
            yield f"{where}: {key} fell from {old.get(key)} to {new[key]}"
    taken = _values(new)
    if taken is not None and (lost := [value for value in _values(old) or () if value not in taken]):
        yield f"{where}: the values {lost} went"
    if taken is not None and _values(old) is None:
        yield f"{where}: only {taken} are taken now"


def _values(schema: Schema) -> list[Any] | None:
    return schema.get("enum")


def _resolved(schema: Schema, root: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].removeprefix("#/$defs/")
    return {**root["$defs"][name], **{key: value for key, value in schema.items() if key != "$ref"}}
