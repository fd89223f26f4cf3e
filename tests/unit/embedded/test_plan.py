from pathlib import Path

from contracts.topics import ALL_DAEMONS
from shared.embedded.layout import layout_of
from shared.embedded.plan import BROKER, CACHE, DAEMONS, TRUSTED, Addresses, daemon_spec, daemons_with, names_of
from shared.embedded.settings import EngineSettings

PORTS = {name: 20_000 + number for number, name in enumerate(names_of(DAEMONS))}
ADDRESSES = Addresses(ports=PORTS)
LAYOUT = layout_of(Path("/state dir"))


def test_every_daemon_of_the_topic_table_has_a_process_and_only_trusted_ones_the_secrets() -> None:
    specs = [daemon_spec(daemon, ADDRESSES, LAYOUT) for daemon in DAEMONS]
    assert tuple(spec.name for spec in specs) == ALL_DAEMONS
    assert {
        spec.name for spec in specs if spec.environment.get("PLUMBLINE_SECRETS_DIR") == "/state dir/secrets"
    } == TRUSTED
    assert {spec.name for spec in specs if "PLUMBLINE_SECRETS_DIR" in spec.environment} == TRUSTED
    assert not any("secret" in argument for spec in specs for argument in spec.argv)


def test_a_daemon_is_started_by_name_and_told_where_the_engines_are() -> None:
    spec = daemon_spec(DAEMONS[1], ADDRESSES, LAYOUT)
    assert "services.cleaner.app:build" in spec.argv
    assert spec.environment["PLUMBLINE_KAFKA__BOOTSTRAP_SERVERS"] == ADDRESSES.bootstrap_servers
    assert spec.environment["PLUMBLINE_ARTIFACTS__URL"] == "file:///state dir/artifacts"


def test_more_cleaners_share_the_folder_of_the_first_and_are_told_apart_by_name() -> None:
    assert daemons_with(cleaners=1) == DAEMONS
    daemons = daemons_with(cleaners=3)
    addresses = Addresses(ports=PORTS | {"cleaner-2": 1, "cleaner-3": 2})
    first, second, third = (daemon_spec(one, addresses, LAYOUT) for one in daemons if one.daemon == "cleaner")
    assert [first.name, second.name, third.name] == ["cleaner", "cleaner-2", "cleaner-3"]
    assert [second.port, third.port] == [1, 2]
    assert len({one.environment["PLUMBLINE_PROCESS"] for one in (first, second, third)}) == 3
    for name in ("PLUMBLINE_STATE_DIR", "PLUMBLINE_SECRETS_DIR"):
        assert first.environment[name] == second.environment[name] == third.environment[name]


def test_engines_of_somebody_else_are_not_run_and_daemons_are_told_where_they_are() -> None:
    engines = EngineSettings(kafka="k1:9092,k2:9092", redis="redis://r:6379/0", elasticsearch="http://e:9200")
    assert names_of(DAEMONS, engines) == ALL_DAEMONS
    addresses = Addresses(
        ports=PORTS, kafka=engines.kafka, redis=engines.redis, elasticsearch=engines.elasticsearch
    )  # fmt: skip
    told = {daemon.name: daemon_spec(daemon, addresses, LAYOUT).environment for daemon in DAEMONS}
    assert {one["PLUMBLINE_KAFKA__BOOTSTRAP_SERVERS"] for one in told.values()} == {"k1:9092,k2:9092"}
    assert {one["PLUMBLINE_REDIS__URL"] for one in told.values()} == {"redis://r:6379/0"}
    assert {name for name, one in told.items() if one.get("PLUMBLINE_STORE__URL") == "http://e:9200"} == {"monitor"}


def test_only_daemons_have_urls() -> None:
    assert set(ADDRESSES.urls) == set(ALL_DAEMONS)
    assert ADDRESSES.bootstrap_servers == f"127.0.0.1:{PORTS[BROKER]}"
    assert ADDRESSES.redis_url == f"redis://127.0.0.1:{PORTS[CACHE]}/0"
