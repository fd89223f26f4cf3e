"""The mesh's topics as an AsyncAPI 3.0 document, for people and tools that read or write them. Made of the topic table; pure."""

from typing import Any

from contracts.topics import DEAD_LETTER_RETENTION_H, MAX_DEAD_LETTER_BYTES, NUM_PARTITIONS, TOPICS, Topic

ASYNCAPI_VERSION = "3.0.0"
BINDING_VERSION = "0.5.0"
HOUR_MS = 3_600_000
REFS = "#/components/schemas/{model}"

Part = dict[str, Any]

TEXT: Part = {"type": "string"}
CLOUDEVENT_HEADERS: Part = {
    "content-type": {"type": "string", "const": "application/json"},
    "ce_specversion": {"type": "string", "const": "1.0"},
    "ce_id": {"type": "string", "format": "uuid", "description": "the event's id"},
    "ce_source": {"type": "string", "description": "who says it, e.g. /plumbline/cleaner"},
    "ce_subject": {"type": "string", "description": "the domain"},
    "ce_time": {"type": "string", "format": "date-time"},
    "traceparent": {"type": "string", "description": "W3C trace context"},
}
SIGNATURE_HEADERS: Part = {
    "plumbline_signature": {
        "type": "string",
        "description": "Ed25519 over DSSE's encoding of topic, key and body, in base64; without it the command is refused",
    },
    "plumbline_key_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
REASON_HEADERS: Part = {
    "plumbline_error_type": {"type": "string"},
    "plumbline_error": {"type": "string", "description": "why it could not be handled"},
    "plumbline_next_step": {"type": "string", "description": "what a person can do"},
    "plumbline_service": {"type": "string", "description": "the daemon that could not handle it"},
    "plumbline_origin": {"type": "string", "description": "topic/partition/offset"},
}
DOMAIN_KEY: Part = {"type": "string", "description": "the domain: what is said of one domain keeps its order"}
SPREAD_KEY: Part = {
    "type": "string",
    "description": "the domain; its events are spread over the partitions, in no order",
}
SERVICE_KEY: Part = {"type": "string", "description": "the service that the telemetry is of"}


def document(version: str) -> Part:
    """Return the AsyncAPI document.

    Args:
        version: Of the contracts, as `info.version`.
    """
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Plumbline",
            "version": version,
            "description": "Events between the daemons of a mesh, over Kafka. A user's system writes documents-submitted.",
        },
        "defaultContentType": "application/json",
        "channels": {name: channel for topic in TOPICS for name, channel in _channels(topic).items()},
        "operations": {name: operation for topic in TOPICS for name, operation in _operations(topic).items()},
        "components": {
            "messages": {topic.name: _message(topic) for topic in TOPICS},
            "schemas": _schemas(),
        },
    }


def _channels(topic: Topic) -> dict[str, Part]:
    kept: Part = {"cleanup.policy": ["compact"]}
    if topic.retention_h is not None:
        kept = {"cleanup.policy": ["delete"], "retention.ms": topic.retention_h * HOUR_MS}
    channels = {topic.name: _channel(topic.name, topic, topic.why, kept)}
    if topic.has_dead_letters:
        dead = {
            "cleanup.policy": ["delete"],
            "retention.ms": DEAD_LETTER_RETENTION_H * HOUR_MS,
            "max.message.bytes": MAX_DEAD_LETTER_BYTES,
        }
        channels[topic.dead_letter_name] = _channel(
            topic.dead_letter_name, topic, f"messages of {topic.name} that could not be handled, as they were", dead
        )
    return channels


def _channel(name: str, topic: Topic, why: str, configuration: Part) -> Part:
    return {
        "address": name,
        "description": why,
        "messages": {topic.name: {"$ref": f"#/components/messages/{topic.name}"}},
        "bindings": {
            "kafka": {
                "topic": name,
                "partitions": NUM_PARTITIONS,
                "topicConfiguration": configuration,
                "bindingVersion": BINDING_VERSION,
            }
        },
    }


def _operations(topic: Topic) -> dict[str, Part]:
    sent = {f"{name}-sends-{topic.name}": _operation(topic, "send") for name in topic.producers}
    received = {f"{name}-receives-{topic.name}": _operation(topic, "receive", group=name) for name in topic.consumers}
    read = {f"{name}-reads-{topic.name}": _operation(topic, "receive") for name in (*topic.readers, *topic.followers)}
    kept = {
        f"{name}-stores-{topic.name}": _operation(topic, "receive", group=f"{name}-store") for name in topic.keepers
    }
    return {**sent, **received, **read, **kept}


def _operation(topic: Topic, action: str, *, group: str | None = None) -> Part:
    bindings = {"bindings": {"kafka": {"groupId": TEXT | {"const": group}, "bindingVersion": BINDING_VERSION}}}
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{topic.name}"}],
        **(bindings if group else {}),
    }


def _message(topic: Topic) -> Part:
    if topic.event is None:
        return {
            "name": topic.name,
            "summary": f"{topic.why}, as an OpenTelemetry Collector's Kafka receiver reads them",
            "contentType": "application/x-protobuf",
            "payload": {"type": "string", "format": "binary"},
            "bindings": {"kafka": {"key": SERVICE_KEY, "bindingVersion": BINDING_VERSION}},
        }
    headers = CLOUDEVENT_HEADERS | {"ce_type": TEXT | {"const": topic.ce_type}}
    required = [*SIGNATURE_HEADERS] if topic.signed else []
    return {
        "name": topic.ce_type,
        "title": topic.event.__name__,
        "summary": topic.why,
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": headers | (SIGNATURE_HEADERS if topic.signed else {}) | REASON_HEADERS,
            **({"required": required} if required else {}),
        },
        "payload": {"$ref": REFS.format(model=topic.event.__name__)},
        "bindings": {"kafka": {"key": SPREAD_KEY if topic.spread else DOMAIN_KEY, "bindingVersion": BINDING_VERSION}},
    }


def _schemas() -> dict[str, Part]:
    """Return every event's schema and those that they share."""
    found: dict[str, Part] = {}
    for topic in TOPICS:
        if topic.event is None:
            continue
        schema = topic.event.model_json_schema(mode="validation", ref_template=REFS)
        for name, part in {**schema.pop("$defs", {}), topic.event.__name__: schema}.items():
            if found.setdefault(name, part) != part:
                msg = f"two contracts are both called {name}"
                raise ValueError(msg)
    return found
