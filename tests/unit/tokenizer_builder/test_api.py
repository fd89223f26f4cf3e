import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from contracts.api import Problem
from contracts.lexicon import MAX_LEXICON_BYTES, LexiconAdded, LexiconEntry, LexiconListing
from contracts.tokenizers import TokenizerReport
from services.tokenizer_builder import api
from services.tokenizer_builder.api import routes
from services.tokenizer_builder.core.choice import choose
from services.tokenizer_builder.core.job import CorpusTexts
from services.tokenizer_builder.core.lexicon import LexiconState, combined
from services.tokenizer_builder.core.report import report_on
from services.tokenizer_builder.lexicons import change_lexicon, lexicon_ref, read_lexicon_state
from services.tokenizer_builder.settings import TokenizerRules
from shared import problems
from shared.artifacts import ArtifactStore
from shared.errors import ArtifactCorrupt
from shared.settings import OperatorSettings
from tests.unit.tokenizer_builder.statutes import ARTICLES

URL = "/v1/domains/law"
OPERATOR = {"authorization": "Bearer secret"}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore((tmp_path / "artifacts").as_uri())


@pytest.fixture
async def client(store: ArtifactStore) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    problems.install(app)
    app.include_router(routes(store, operator=OperatorSettings(operator_token="secret")))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://builder", headers=OPERATOR) as client:
        yield client


async def listing(client: httpx.AsyncClient, **asked: str | int) -> LexiconListing:
    return LexiconListing.model_validate_json((await client.get(f"{URL}/lexicon", params=asked)).content)


async def test_terms_are_added_listed_and_decided_on(client: httpx.AsyncClient):
    assert (await listing(client)).entries == ()
    body = "质押\n抵押权 100 n\nTP53\n".encode()
    added = [
        LexiconAdded.model_validate_json((await client.post(f"{URL}/lexicon/terms", content=body)).content)
        for _ in range(2)
    ]
    assert [(one.num_terms, one.num_new) for one in added] == [(3, 3), (3, 0)]
    told = await listing(client)
    assert told.num_entries == {"accepted": 2, "filtered": 1}
    assert {entry.term: entry.status for entry in told.entries} == {
        "质押": "accepted",
        "抵押权": "accepted",
        "TP53": "filtered",
    }
    answer = await client.post(f"{URL}/lexicon/decisions", json={"term": "质押", "decision": "reject"})
    entry = LexiconEntry.model_validate_json(answer.content)
    assert (entry.status, entry.reason) == ("rejected", "rejected by a person")
    assert [one.term for one in (await listing(client, status="rejected")).entries] == ["质押"]
    assert len((await listing(client, limit=1)).entries) == 1


async def test_a_mined_term_is_accepted_against_the_last_version(client: httpx.AsyncClient, store: ArtifactStore):
    mined = LexiconEntry(
        term="登记簿", origin="mined", status="proposed", score=0.3, count=12, reason="score 0.30, below 0.45"
    )
    version = combined(LexiconState(), [mined], {}, {}, contrast="", max_shown=5)
    digest = store.put_bytes(version.model_dump_json().encode())
    change_lexicon(store, "law", lambda state: state.model_copy(update={"version_digest": digest}))
    assert (await listing(client, status="proposed")).entries == (mined,)
    await client.post(f"{URL}/lexicon/decisions", json={"term": "登记簿", "decision": "accept"})
    told = await listing(client)
    assert [(one.term, one.status, one.count) for one in told.entries] == [("登记簿", "accepted", 12)]


async def test_only_the_operator_changes_terms_and_everyone_may_look(client: httpx.AsyncClient):
    stranger = {"authorization": "Bearer wrong"}
    for path, body in (("terms", "质押".encode()), ("decisions", b'{"term": "x", "decision": "accept"}')):
        answer = await client.post(
            f"{URL}/lexicon/{path}", content=body, headers=stranger | {"content-type": "application/json"}
        )
        assert Problem.model_validate_json(answer.content).status == 403
    assert (await client.get(f"{URL}/lexicon", headers=stranger)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ("质押\n{oops\n".encode(), 422, "line 2: not JSON"),
        (b"\xff\xfe", 422, "line 1 is not UTF-8"),
        pytest.param(b'{"term":' + b"[" * 100_000, 422, "line 1: JSON that is nested too deeply", id="deep"),
        pytest.param(
            b'{"df":' + b"9" * 5_000 + b"}", 422, "line 1: JSON that is nested too deeply, or", id="long number"
        ),
        pytest.param(b"x" * (MAX_LEXICON_BYTES + 1), 413, "at most 16,777,216 bytes", id="large"),
    ],
)
async def test_a_file_that_cannot_be_read_changes_nothing(client: httpx.AsyncClient, body, status, detail):
    answer = await client.post(f"{URL}/lexicon/terms", content=body)
    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.next is not None) == (status, True)
    assert detail in problem.detail
    assert (await listing(client)).entries == ()


async def test_the_daemon_answers_others_while_it_reads_a_file(client: httpx.AsyncClient, monkeypatch):
    reading, answered = threading.Event(), threading.Event()

    def slow(_: bytes) -> list[str]:
        reading.set()
        return ["质押"] if answered.wait(timeout=10) else []

    monkeypatch.setattr(api, "parsed", slow)
    adding = asyncio.create_task(client.post(f"{URL}/lexicon/terms", content="质押".encode()))
    assert await asyncio.to_thread(reading.wait, 10)
    assert (await listing(client)).entries == ()
    answered.set()
    assert LexiconAdded.model_validate_json((await adding).content).num_terms == 1


@pytest.mark.parametrize("term", ["劳动\u200b合同\x00", " 质押", "质押\n", "合同 => 契约", "---"])
async def test_what_is_no_term_is_not_accepted_and_may_be_rejected(client: httpx.AsyncClient, term):
    answer = await client.post(f"{URL}/lexicon/decisions", json={"term": term, "decision": "accept"})
    assert (answer.status_code, Problem.model_validate_json(answer.content).status) == (422, 422)
    assert (await listing(client)).entries == ()
    answer = await client.post(f"{URL}/lexicon/decisions", json={"term": term, "decision": "reject"})
    assert LexiconEntry.model_validate_json(answer.content).status == "rejected", "one that an older version took"


async def test_the_last_tokenizers_report_is_told(client: httpx.AsyncClient, store: ArtifactStore):
    answer = await client.get(f"{URL}/tokenizer-report")
    assert (answer.status_code, Problem.model_validate_json(answer.content).title) == (404, "No tokenizer yet")
    rules = TokenizerRules(small_vocab_size=1200)
    texts = CorpusTexts(new=ARTICLES, old=(), training=ARTICLES, held_out=())
    lexicon = combined(LexiconState(), [], {}, {}, contrast="", max_shown=5)
    report = report_on(
        choose(texts, None, lexicon, rules), texts, lexicon, rules, domain="law", corpus_digest="c" * 64,
        tokenizer_digest="d" * 64, general={},
    )  # fmt: skip
    digest = store.put_bytes(report.model_dump_json().encode())
    change_lexicon(store, "law", lambda state: state.model_copy(update={"report_digest": digest}))
    answer = await client.get(f"{URL}/tokenizer-report")
    assert TokenizerReport.model_validate_json(answer.content) == report


async def test_damaged_artifacts_are_told_of(client: httpx.AsyncClient, store: ArtifactStore):
    store.write_ref(lexicon_ref("law"), b'{"decisions": 3}')
    with pytest.raises(ArtifactCorrupt, match="does not hold a lexicon"):
        read_lexicon_state(store, "law")
    digest = store.put_bytes(b"[]")
    for path, name in (("lexicon", "version_digest"), ("tokenizer-report", "report_digest")):
        store.write_ref(lexicon_ref("medicine"), f'{{"{name}": "{digest}"}}'.encode())
        assert (await client.get(f"/v1/domains/medicine/{path}")).status_code == 422


def test_two_writers_at_once_both_count(store: ArtifactStore):
    def change(state: LexiconState) -> LexiconState:
        if "抵押" not in read_lexicon_state(store, "law").decisions:
            change_lexicon(store, "law", lambda other: other.with_terms(["抵押"]))
        return state.with_terms(["质押"])

    before, after = change_lexicon(store, "law", change)
    assert (set(before.decisions), set(after.decisions)) == ({"抵押"}, {"抵押", "质押"})
