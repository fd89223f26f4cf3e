"""The packages of general tokenizers: declared, and named where they are absent."""

import tomllib
from pathlib import Path

from services.tokenizer_builder import generals

ROOT = Path(__file__).parents[3]


def test_an_extra_declares_every_package_that_is_compared_with_and_the_image_has_it():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    declared = {line.split(">")[0].replace("-", "_") for line in extras["compare"]}
    assert declared == {module for module, _ in generals.GENERAL.values()}
    image = (ROOT / "services/Dockerfile").read_text()
    assert "-r /tmp/vectors.txt -r /tmp/compare.txt" in image


def test_an_absent_package_is_named_and_keeps_no_other_from_being_compared(monkeypatch):
    counted = ("tomllib", lambda _: len)
    monkeypatch.setattr(generals, "GENERAL", {"absent": ("no_such_package", counted[1]), "there": counted})
    found = generals.general_tokenizers()
    assert found["absent"] is None
    assert found["there"]("质押") == 2
