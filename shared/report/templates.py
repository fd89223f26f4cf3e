"""The templates of our pages, which lie beside this module."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from shared.summary import short


def template_of(name: str, **filters: Callable[[Any], str]) -> Template:
    """Return a template, with filters of its own beside `percent`, `short` and `number`."""
    environment = Environment(
        loader=FunctionLoader(_text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": "{:.1%}".format, "short": short, "number": "{:,}".format, **filters}
    return environment.get_template(name)


def _text(name: str) -> str:
    return files("shared.report").joinpath(name).read_text(encoding="utf-8")
