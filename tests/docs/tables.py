"""The README's generated tables, each between `<!-- name -->` and `<!-- /name -->`: topics, commands, settings."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

from contracts.topics import ALL_DAEMONS, DAY_H, TOPICS, Topic
from shared.bucket import S3Settings
from shared.cli.app import application
from shared.cli.settings import MeshSettings
from shared.embedded.settings import EmbeddedSettings
from shared.kibana.load import Settings as KibanaLoading
from shared.settings import DaemonSettings, OperatorSettings

README = Path(__file__).parents[2] / "README.md"
PREFIX = "PLUMBLINE_"
GATEWAY = "inference-gateway"


def rewritten(readme: str) -> str:
    """Return the README with its tables as they must be."""
    for name, table in {"topics": topics(), "commands": commands(), "settings": settings()}.items():
        readme = _put(readme, name, table)
    return readme


def _put(readme: str, name: str, table: str) -> str:
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = readme.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"README.md has no {begin.strip()} ... {end}")
    return f"{before}{begin}{table}{end}{after}"


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


# ---- topics


def topics() -> str:
    head = ("topic", "producers", "consumers", "readers", "stored by", "kept", "why")
    return _table(head, (_topic(topic) for topic in TOPICS))


def _topic(topic: Topic) -> tuple[str, ...]:
    kept = "last of each key" if topic.retention_h is None else f"{topic.retention_h // DAY_H} d"
    readers = (*topic.readers, *(f"{follower} (what is fresh)" for follower in topic.followers))
    names = (_names(topic.producers), _names(topic.consumers), _names(readers), _names(topic.keepers))
    return (f"`{topic.name}`", *names, kept, topic.why)


def _names(daemons: tuple[str, ...]) -> str:
    return "all" if daemons == ALL_DAEMONS else ", ".join(daemons)


# ---- commands


def leaf_commands() -> dict[str, Any]:
    """Return the commands of the command line by their words, e.g. `train now`; Typer keeps its classes to itself."""
    return dict(_leaves(get_command(application()), ""))


def _leaves(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, child in command.commands.items():
        yield from _leaves(child, f"{words} {name}".strip())


def commands() -> str:
    return _table(("command", "what it does", "options"), (_command(*item) for item in leaf_commands().items()))


def _command(words: str, command: Any) -> tuple[str, ...]:
    arguments = [_argument(one) for one in command.params if one.param_type_name == "argument"]
    options = [f"`{max(one.opts, key=len)}`" for one in command.params if one.param_type_name == "option"]
    return (f"`{' '.join(['plumb', words, *arguments])}`", command.help.partition("\n")[0], " ".join(options))


def _argument(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


# ---- settings


@dataclass(frozen=True)
class Setting:
    variable: str
    default: str
    meaning: str


def settings() -> str:
    """Return one row for each variable, default and meaning; daemons that share all three share a row."""
    read_by: dict[Setting, list[str]] = {}
    for reader, setting in all_settings():
        read_by.setdefault(setting, []).append(reader)
    rows = sorted(read_by.items(), key=lambda item: -len(item[1]))
    head = ("variable", "default", "read by", "meaning")
    return _table(head, ((f"`{one.variable}`", one.default, _readers(readers), one.meaning) for one, readers in rows))


def _readers(readers: list[str]) -> str:
    others = [reader for reader in readers if reader not in ALL_DAEMONS]
    return ", ".join(["all daemons", *others] if set(ALL_DAEMONS) <= set(readers) else readers)


def all_settings() -> Iterator[tuple[str, Setting]]:
    """Yield every setting with its reader: a daemon, `plumb up`, or the commands that talk to a mesh."""
    yield from (("`plumb up`", setting) for setting in _of_class(EmbeddedSettings, PREFIX, None))
    for daemon in ALL_DAEMONS:
        module = import_module(f"services.{daemon.replace('-', '_')}.settings")
        # The gateway keeps the operator's secret apart from its settings.
        for kind in (_settings_class(module), S3Settings, *((OperatorSettings,) if daemon == GATEWAY else ())):
            yield from ((daemon, setting) for setting in _of_class(kind, PREFIX, None))
    yield from (("`plumb`", setting) for setting in _of_class(MeshSettings, PREFIX, None))
    yield from (("`python -m shared.kibana`", setting) for setting in _of_class(KibanaLoading, PREFIX, None))


def _settings_class(module: ModuleType) -> type[DaemonSettings]:
    defined = (kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__)
    return next(kind for kind in defined if issubclass(kind, DaemonSettings))


def _of_class(kind: type[BaseModel], prefix: str, instance: BaseModel | None) -> Iterator[Setting]:
    meanings = meanings_of(kind)
    for name, info in kind.model_fields.items():
        default = getattr(instance, name) if instance else info.default
        variable = f"{prefix}{name.upper()}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            whole = default if isinstance(default, BaseModel) else None
            yield from _of_class(info.annotation, f"{variable}__", whole)
        else:
            yield Setting(variable, _shown(default, info), meanings.get(name, ""))


def _shown(value: Any, info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,g}"
    return "none" if value in {None, ""} else f"`{value}`"


def meanings_of(kind: type[BaseModel]) -> dict[str, str]:
    """Return what each field means: the text below it, or its line in the class's own docstring; those of bases too."""
    inherited = (one for one in reversed(kind.__mro__[1:]) if issubclass(one, BaseModel) and one.model_fields)
    found = {name: text for base in inherited for name, text in meanings_of(base).items()}
    return {**found, **_attributes_section(inspect.getdoc(kind) or ""), **_attribute_docstrings(kind)}


def _attribute_docstrings(kind: type[BaseModel]) -> dict[str, str]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def _attributes_section(docstring: str) -> dict[str, str]:
    section = docstring.partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
