"""What word vectors tell over HTTP, on vectors made by a rule."""

from uuid import UUID

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from contracts.word_vectors import Drift, Synonyms, VectorsListing, VectorsVersion
from services.tokenizer_builder import vectors_api
from shared import problems, vector_versions
from shared.artifacts import ArtifactStore
from shared.lm.word_vectors import WordVectors, to_bytes

WORDS = ("合同", "协议", "罪犯", "犯人", "苹果")
FIRST = [[1.0, 0.1, 0.0], [1.0, 0.2, 0.0], [0.0, 1.0, 0.1], [0.1, 1.0, 0.0], [0.5, 0.5, 1.0]]
"""苹果, the fruit, lies away from all; in the second version it keeps contracts company."""
SECOND = [*FIRST[:4], [1.0, 0.15, 0.1]]
RARE = [[float(np.cos(n)), float(np.sin(n)), -1.0] for n in range(10)]
"""Words that stay where they are, so that there are enough to align two versions by."""


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path.as_uri())


@pytest.fixture
async def client(store):
    app = FastAPI()
    problems.install(app)
    app.include_router(vectors_api.routes(store))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x/v1/domains/law") as client:
        yield client


def keep(store, number, rows, *, rare=RARE):
    words = (*WORDS, *(f"稀{place}" for place in range(len(rare))))
    counts = [90, 80, 70, 60, 55, *[9] * len(rare)]
    vectors = WordVectors(words, np.array(counts), np.array([*rows, *rare], dtype=np.float32))
    version = VectorsVersion(
        domain="law", event_id=UUID(int=number), number=number, corpus_digest=f"{number:064d}", state="learnt",
        vectors_digest=store.put_bytes(to_bytes(vectors)), num_words=len(words), dimensions=len(rows[0]), num_tokens=355,
    )  # fmt: skip
    vector_versions.note_done(store, version)
    return version


async def test_versions_are_listed_with_those_that_wait(client, store):
    done = keep(store, 1, FIRST)
    waiting = done.model_copy(update={"number": 2, "state": "waiting", "vectors_digest": None})
    vector_versions.note_waiting(store, waiting)
    listing = VectorsListing.model_validate_json((await client.get("/word-vectors")).content)
    assert listing.versions == (done, waiting)
    assert (await client.get("http://x/v1/domains/medicine/word-vectors")).json() == {"versions": []}


async def test_words_of_like_company_are_candidates(client, store):
    keep(store, 1, FIRST)
    keep(store, 2, SECOND)
    query = {"word": ["合同", "量子"], "number": 1, "nearest": 1}
    found = Synonyms.model_validate_json((await client.get("/word-vectors/synonyms", params=query)).content)
    assert found.number == 1
    assert found.candidates.keys() == {"合同"}
    (candidate,) = found.candidates["合同"]
    assert (candidate.word, candidate.is_mutual) == ("协议", True)
    assert candidate.cosine == pytest.approx(0.995, abs=1e-2)
    newest = (await client.get("/word-vectors/synonyms", params={"word": "合同"})).json()
    assert newest["number"] == 2
    assert "苹果" in [one["word"] for one in newest["candidates"]["合同"]]


async def test_the_word_that_moved_is_told(client, store):
    keep(store, 3, FIRST)
    keep(store, 5, SECOND)
    found = Drift.model_validate_json((await client.get("/word-vectors/drift", params={"limit": 2})).content)
    assert (found.before, found.after) == (3, 5)
    assert (found.num_shared, found.dimensions) == (15, 3)
    assert len(found.words) == 2
    assert found.words[0].word == "苹果"
    asked = (await client.get("/word-vectors/drift", params={"word": "合同", "before": 3, "after": 5})).json()
    assert [one["word"] for one in asked["words"]] == ["合同"]
    frequent = (await client.get("/word-vectors/drift", params={"min_count": 60})).json()
    assert {one["word"] for one in frequent["words"]} == set(WORDS[:4])


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/synonyms?word=合同", "no corpus version of the domain law has word vectors"),
        ("/synonyms?word=合同&number=7", "not the corpus version 7 of the domain law has word vectors"),
        ("/drift", "no corpus version of the domain law has word vectors"),
    ],
)
async def test_vectors_that_there_are_not_are_a_problem_with_a_next_step(client, path, detail):
    answer = await client.get(f"/word-vectors{path}")
    problem = answer.json()
    assert (answer.status_code, problem["detail"]) == (404, detail)
    assert "plumb vectors list" in problem["next"]


async def test_one_version_alone_cannot_be_compared_nor_two_of_different_widths(client, store):
    keep(store, 1, FIRST)
    assert "before 1" in (await client.get("/word-vectors/drift")).json()["detail"]
    keep(store, 2, [row[:2] for row in SECOND], rare=[])
    answer = await client.get("/word-vectors/drift")
    assert answer.status_code == 404
    assert "3 dimensions, those of version 2 2" in answer.json()["detail"]


async def test_two_versions_that_share_too_few_words_are_not_compared(client, store):
    keep(store, 1, FIRST)
    keep(store, 2, SECOND, rare=RARE[1:])
    answer = await client.get("/word-vectors/drift")
    assert answer.status_code == 404
    assert "share 14 words; vectors of 3 dimensions are aligned by 15 or more" in answer.json()["detail"]
    assert "PLUMBLINE_WORD_VECTORS__DIMENSIONS" in answer.json()["next"]


@pytest.mark.parametrize("query", ["", "?word=合同&nearest=0", "?word=合同&min_cosine=2"])
async def test_a_query_that_makes_no_sense_is_refused(client, query):
    assert (await client.get(f"/word-vectors/synonyms{query}")).status_code == 422
