"""Relevance and typo correction as steps of the cleaner: off unless the domain has a file, counted, and no neighbour matters."""

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.corpus import Document, Entity
from contracts.topics import BATCH_CLEANED, BATCH_RECEIVED
from services.cleaner.core.cleaned_tables import clean_table
from services.cleaner.core.cleaning import Counter, DomainLanguage, Rejection, Stage, StepCount, clean_texts, steps_of
from services.cleaner.core.steps.joined import JoinedTexts
from services.cleaner.core.steps.quality import Reason
from services.cleaner.core.typos.corrector import TypoCorrector
from services.cleaner.domain_languages import LanguageRefused, load_languages
from services.cleaner.settings import CleaningRules, CorpusRules
from shared.clock import FakeClock
from shared.demo.statutes import load_statutes
from shared.relevance.fit import RelevanceFit
from shared.relevance.model import RelevanceModel
from shared.shards import SCHEMA, documents_of, read_table, table_of
from shared.term_lists import terms_in
from tests.unit.cleaner.conftest import START, running
from tests.unit.cleaner.test_versions import cleaner_in

TERMS = ["人民法院", "行政复议", "诉讼时效", "高血压", "著作权法"]
SLIP = "当事人可以向人民法愿申请行政复意。"
RIGHT = "当事人可以向人民法院申请行政复议。"
FOREIGN = "周末和朋友去看了电影，散场以后沿着河边慢慢走回家，路上买了两串烤鱿鱼，味道比上次好多了。"
RULES = CleaningRules()


@pytest.fixture(scope="module")
def model() -> RelevanceModel:
    laws = [document for document in load_statutes().first if len(document.text) >= 20]
    fit = RelevanceFit()
    fit.add([one.text for one in laws], [one.split_group for one in laws])
    return fit.model()


@pytest.fixture(scope="module")
def language(model: RelevanceModel) -> DomainLanguage:
    return DomainLanguage(typos=TypoCorrector(TERMS), relevance=model)


def test_nothing_of_it_happens_to_a_domain_that_is_not_known():
    cleaned = clean_texts([SLIP, FOREIGN], RULES)
    assert cleaned.texts == [SLIP, FOREIGN]
    assert cleaned.rejections == []
    assert Stage.TYPOS not in cleaned.counts


def test_slips_are_corrected_and_counted(language: DomainLanguage):
    cleaned = clean_texts(["清白的一条，由人民法院执行。", SLIP, f"<p>{SLIP}</p>\u200b"], RULES, language)
    assert cleaned.texts[1:] == [RIGHT, RIGHT]
    assert cleaned.counts[Stage.TYPOS] == StepCount(documents=2, occurrences=4)
    assert cleaned.counts[Stage.MARKUP] == StepCount(documents=1, occurrences=1)


def test_a_slip_that_an_earlier_step_uncovers_is_corrected(language: DomainLanguage):
    cleaned = clean_texts(["向人\u200b民法愿起诉。"], RULES, language)
    assert cleaned.texts == ["向人民法院起诉。"]


def test_what_is_off_domain_is_rejected_with_its_score(language: DomainLanguage):
    cleaned = clean_texts([RIGHT, FOREIGN, "", FOREIGN * 30], CleaningRules(max_characters=1_000), language)
    by_position = {one.position: one for one in cleaned.rejections}
    score = by_position[1].score
    assert by_position[1] == Rejection(position=1, stage=Stage.RELEVANCE, reason=Reason.OFF_DOMAIN, score=score)
    assert language.relevance
    assert -20 < score < language.relevance.reject_below
    # A document that quality rejects as well is rejected for that.
    assert {at: one.reason for at, one in by_position.items()} == {
        1: Reason.OFF_DOMAIN,
        2: Reason.EMPTY,
        3: Reason.TOO_LONG,
    }


def test_relevance_needs_no_judgement_of_quality(language: DomainLanguage):
    rejected = clean_texts([FOREIGN, RIGHT], CleaningRules(quality=False), language).rejections
    assert [(one.position, one.reason) for one in rejected] == [(0, Reason.OFF_DOMAIN)]


def test_statutes_stay_as_they_are(language: DomainLanguage):
    laws = [one.text for one in load_statutes().later]
    plain, known = clean_texts(laws, RULES), clean_texts(laws, RULES, language)
    assert known.texts == plain.texts
    rejected = [one for one in known.rejections if one.stage is Stage.RELEVANCE]
    assert len(rejected) <= 0.005 * len(laws)


def test_entities_keep_their_places(language: DomainLanguage):
    entity = Entity(start=6, end=10, label="机关")
    raw = table_of([Document(document_id="1", text=SLIP, entities=(entity,))])
    [kept] = documents_of(clean_table(raw, RULES, language).kept)
    assert kept.text == RIGHT
    assert kept.entities == (entity,)


PIECES = [
    SLIP,
    RIGHT,
    FOREIGN[:20],
    "人民法愿",
    "人\u200b民法愿",
    "<b>诉讼时校</b>",
    "高雪压",
    "\ud800",
    "13800138000",
    "\n",
    "，",
    "著作全法",
]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), min_size=1, max_size=4))
def test_cleaning_settles_no_guard_misses_a_document_and_no_neighbour_matters(texts: list[str]):
    language = DomainLanguage(typos=CORRECTOR)
    once = clean_texts(texts, RULES, language)
    assert clean_texts(once.texts, RULES, language).texts == once.texts
    assert [clean_texts([text], RULES, language).texts[0] for text in texts] == once.texts
    [step] = [one for one in steps_of(RULES, Counter(), language) if one.stage is Stage.TYPOS]
    for text, is_needed in zip(texts, step.needs(JoinedTexts.of(texts)), strict=True):
        left, changed = step.clean(text)
        assert (changed > 0) == (left != text) == bool(is_needed)


CORRECTOR = TypoCorrector(TERMS)


def test_files_are_taken_by_domain(tmp_path: Path, model: RelevanceModel):
    (tmp_path / "law.txt").write_text("# 法院\n" + "\n".join(TERMS), encoding="utf-8")
    (tmp_path / "law.relevance").write_bytes(model.to_bytes())
    (tmp_path / "medicine.txt").write_text("高血压 12 n\n", encoding="utf-8-sig")
    (tmp_path / "README.md").write_text("no language", encoding="utf-8")
    rules = CleaningRules(typo_terms=tmp_path, relevance_models=tmp_path)

    languages = load_languages(rules)

    assert set(languages) == {"law", "medicine"}
    law, medicine = languages["law"], languages["medicine"]
    assert law.typos
    assert law.relevance
    assert medicine.typos
    assert medicine.relevance is None
    assert law.relevance.scores([FOREIGN]).tolist() == model.scores([FOREIGN]).tolist()
    assert (law.typos.num_terms, medicine.typos.num_terms) == (5, 1)
    # Look-alikes count as well as what sounds alike.
    assert clean_texts(["著柞权法"], RULES, law).texts == ["著作权法"]
    assert load_languages(RULES) == {}
    assert set(load_languages(CleaningRules(relevance_models=tmp_path))) == {"law"}


def test_a_file_that_cannot_be_used_keeps_the_cleaner_from_starting(tmp_path: Path, model: RelevanceModel):
    rules = CleaningRules(typo_terms=tmp_path, relevance_models=tmp_path)
    for name, content in (
        ("law.txt", "人民法院".encode("gb18030")),
        ("law.txt", "法院\n".encode()),
        ("law.relevance", b"PLNG"),
        ("law.relevance", model.to_bytes()[:-1]),
        ("law.relevance", b"PLRM\x02" + model.to_bytes()[5:]),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(LanguageRefused, match=name):
            load_languages(rules)
        path.unlink()
    with pytest.raises(ValueError, match="not point to a directory"):
        CleaningRules(typo_terms=tmp_path / "none")


def test_terms_of_the_usual_formats():
    assert terms_in("人民法院\r\n# 罪名\n\n抢劫罪 12 n\n版权\t13204281\n") == ["人民法院", "抢劫罪", "版权"]


async def test_what_was_done_is_announced_for_the_domain_that_is_known(tmp_path, telemetry, language):
    async with running(tmp_path, telemetry, FakeClock(START), CorpusRules(), RULES, {"law": language}) as cleaner:
        event = await cleaner.receive("one", SLIP, FOREIGN, RIGHT)
        other = event.model_copy(update={"domain": "medicine", "batch_id": event.event_id})
        await cleaner.user.publish(BATCH_RECEIVED, other)
        law, medicine = (json.loads(one.model_dump_json()) for one in cleaner.of(BATCH_CLEANED))
    assert (law["changed"], law["rejected"]) == ({"typos": 1}, {"off-domain": 1})
    assert (law["num_new_documents"], law["num_duplicate_documents"]) == (1, 1)
    assert (medicine["changed"], medicine["rejected"], medicine["num_new_documents"]) == ({}, {}, 3)


def test_a_person_may_restore_what_was_off_domain(tmp_path: Path, language: DomainLanguage):
    cleaner = cleaner_in(tmp_path / "cleaner")
    cleaner.cleaning = replace(cleaner.cleaning, languages={"law": language})
    assert cleaner.clean([Document(document_id="1", text=FOREIGN)]).rejected == {"off-domain": 1}
    [batch] = cleaner.ledger.batches("law")
    table = read_table(cleaner.store, batch.removed_digest)
    assert [(row["step"], row["reason"], row["score"] < -4) for row in table.to_pylist()] == [
        ("relevance", "off-domain", True)
    ]
    rows = table.select(SCHEMA.names).cast(SCHEMA)
    assert cleaner.cleaning.clean_restored(batch, rows, UUID(int=7), now=START).num_new_documents == 1
    assert [one.text for one in cleaner.documents(cleaner.cut()[0])] == [FOREIGN]
