"""The operator's general text, counted as the domain's; the packages of general tokenizers, declared, and named where absent."""

import tomllib
from functools import partial
from pathlib import Path

import pytest
import rjieba
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.tokenizer_builder import generals
from services.tokenizer_builder.core.generality import why_general
from services.tokenizer_builder.core.grams import count_grams
from services.tokenizer_builder.core.mining import Candidate
from services.tokenizer_builder.generals import general_text

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


def test_a_candidate_inside_another_one_is_counted_in_general_text_too(tmp_path):
    path = tmp_path / "general.txt"
    path.write_text("劳动合同法规定，劳动合同应当订立。\n合同自成立时生效。\n", encoding="utf-8")
    terms = ["劳动合同法", "劳动合同", "合同", "合同法", "质押"]
    general = general_text(path)(terms)
    assert general.counts == {"劳动合同法": 1, "劳动合同": 2, "合同": 3, "合同法": 1}
    assert general.per_million("合同") == pytest.approx(3 / 23 * 1e6), (
        "out of Han characters, as in the domain's own text"
    )
    assert general_text(path)([]).counts == {}


def test_a_word_that_is_as_frequent_in_general_text_is_general_though_it_stands_in_longer_ones(tmp_path):
    path = tmp_path / "general.txt"
    path.write_text("机动车辆保险\n" * 60, encoding="utf-8")
    general = general_text(path)(["机动车辆", "机动车辆保险"])
    candidate = Candidate(text="机动车辆", count=100, cohesion=0.9, freedom=0.9)
    asked = partial(why_general, candidate, 1_000, min_contrast=8.0, spread=None, tag=rjieba.tag)
    assert str(asked(general)).startswith("general: 0.6 times as frequent as in general text")


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.text("甲乙丙，a ", max_size=20), max_size=9))
def test_both_sides_count_the_same_way(tmp_path, lines):
    path = tmp_path / "general.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    counted = count_grams(lines, longest=4)
    for length in (2, 3, 4):
        grams = counted.of[length]
        codes, whole = counted.spelled(length, grams.keys)
        found = {row.tobytes().decode("utf-32-le"): int(count) for row, count in zip(codes, grams.counts, strict=True)}
        assert whole.all()
        general = general_text(path)(list(found))
        assert (general.counts, general.num_chars) == (found, counted.num_chars)
