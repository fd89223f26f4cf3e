"""Files of synonyms, and made documents: marked, on their original's side of the split, never to evaluate with."""

from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.corpus import MAX_TEXT_CHARS, Document, Entity
from services.cleaner.core.steps.quality import Reason
from services.evaluator.adapters import held_out_questions
from shared.augmentation.documents import made_document, originals_of, training_text
from shared.augmentation.records import Method, TrainingText
from shared.augmentation.synonym_files import SynonymsRefused, synonyms_in
from shared.augmentation.synonyms import SynonymReplacer, augmented_by_synonyms
from shared.corpus import is_held_out, read_records
from tests.corpora import write_version
from tests.unit.cleaner.test_versions import cleaner_in

OPEN = next(f"law {n}" for n in count() if not is_held_out(f"law {n}"))
HELD_OUT = next(f"law {n}" for n in count() if is_held_out(f"law {n}"))
DIGEST = "ab" * 32
REPLACER = SynonymReplacer({"依照": ["按照"], "规定": ["条款"], "报告": ["汇报"]})
ORIGINAL = Document(
    document_id="劳动法/1", text="依照规定报告。", label="社会法", group=OPEN, labels=("劳动",), licence="CC0-1.0"
)


# ---- files


def test_the_usual_formats_of_synonyms():
    text = "\ufeff# 词\n企业,公司，厂商\r\n报告\t汇报\n\n职工 , 雇员 => 员工\nAa01A01= 人 士\nAa01B03# 良民 顺民\nAa01B04@ 角色\n"
    assert synonyms_in(text) == {
        "企业": ("公司", "厂商"),
        "公司": ("企业", "厂商"),
        "厂商": ("企业", "公司"),
        "报告": ("汇报",),
        "汇报": ("报告",),
        "职工": ("员工",),
        "雇员": ("员工",),
        "人": ("士",),
        "士": ("人",),
    }


@pytest.mark.parametrize("line", ["企业", "企业 =>", "=> 公司", "=>"])
def test_a_line_that_says_nothing_is_refused(line: str):
    with pytest.raises(SynonymsRefused, match="line 2 names no synonym"):
        synonyms_in(f"企业 公司\n{line}")


@given(st.text(st.sampled_from("甲乙丙 ,，\t\n#=>@Aa01"), max_size=60))
def test_nothing_crashes_and_no_word_stands_for_itself_alone(text: str):
    try:
        found = synonyms_in(text)
    except SynonymsRefused:
        return
    assert all(word not in others for word, others in found.items() if "=>" not in text)


# ---- documents


def test_a_made_document_is_its_originals_but_for_text_and_mark():
    text = augmented_by_synonyms(training_text(ORIGINAL), REPLACER, digest=DIGEST, share=1)
    assert text
    made = made_document(ORIGINAL, text)
    assert made
    assert made.document_id.startswith("劳动法/1#synonyms-")
    kept = {"document_id", "text", "augmented_from"}
    assert (made.text, made.augmented_from) == ("按照条款汇报。", DIGEST)
    assert made.model_dump(exclude=kept) == ORIGINAL.model_dump(exclude=kept)


def test_an_original_without_a_group_gives_its_own_id_as_one():
    alone = Document(document_id=OPEN, text="企业应当报告。")
    made = made_document(
        alone, TrainingText(text="公司应当汇报。", group=OPEN, augmented_from=DIGEST, method=Method.SYNONYMS)
    )
    assert made
    assert made.split_group == alone.split_group == OPEN
    long = TrainingText(text="长" * (MAX_TEXT_CHARS + 1), group=OPEN, augmented_from=DIGEST, method=Method.SYNONYMS)
    assert made_document(alone, long) is None


def test_a_mark_without_a_group_is_refused():
    with pytest.raises(ValidationError, match="needs the group"):
        Document(document_id="1", text="公司应当汇报。", augmented_from=DIGEST)


def test_only_what_is_trained_on_is_made_from():
    held_out = ORIGINAL.model_copy(update={"group": HELD_OUT})
    made = ORIGINAL.model_copy(update={"augmented_from": DIGEST})
    marked = ORIGINAL.model_copy(update={"entities": (Entity(start=0, end=2, label="主体"),)})
    found = originals_of([ORIGINAL, held_out, made, marked])
    assert found.documents == (ORIGINAL,)
    assert (found.num_held_out, found.num_made, found.num_with_entities) == (1, 1, 1)


# ---- the promise

DOCUMENTS = st.lists(
    st.builds(
        Document,
        document_id=st.integers(0, 10_000).map(str),
        text=st.sampled_from(["企业应当报告。", "公司应当汇报。", "当事人可以申请复议。", "本法自公布之日起施行。"]),
        label=st.sampled_from(["社会法", "行政法"]),
        group=st.integers(0, 40).map(lambda number: f"law {number}"),
        augmented_from=st.sampled_from([None, DIGEST]),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cleaners")


@settings(deadline=None, max_examples=40)
@given(DOCUMENTS)
def test_nothing_made_evaluates_and_nothing_made_from_held_out_texts_is_kept(folder: Path, documents: list[Document]):
    """Whoever sent them: no made text of a held-out group is in a version, and nobody is asked about the others."""
    smuggled = [one for one in documents if one.augmented_from and is_held_out(one.split_group)]
    cleaner = cleaner_in(folder / uuid4().hex)
    if documents:
        assert cleaner.clean(documents).rejected.get(Reason.MADE_FROM_HELD_OUT, 0) == len(smuggled)
    event, _ = cleaner.cut()
    records = list(read_records(cleaner.store, event.corpus_digest))
    made = [one for one in records if one.document.augmented_from]
    assert not any(one.held_out or one.is_for_evaluation or is_held_out(one.document.split_group) for one in made)
    originals = {one.text for one in documents if one.augmented_from is None}
    assert originals.isdisjoint(one.document.text for one in made)
    # Also where one got past the cleaner, nobody is asked about it.
    asked = held_out_questions(cleaner.store, write_version(cleaner.store, documents), None)
    held_out = [one for one in documents if one.augmented_from is None and is_held_out(one.split_group)]
    assert sorted(question.text for question in asked) == sorted(one.text for one in held_out)
