"""`plumb vectors` against the daemon's own endpoints, on vectors made by a rule."""

import json
import threading
import time
from uuid import UUID

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI

from contracts.word_vectors import DriftedWord, VectorsVersion
from services.tokenizer_builder import vectors_api
from shared import problems, vector_versions
from shared.artifacts import ArtifactStore
from shared.cli.errors import ProblemAnswered
from shared.cli.exits import Exit
from shared.lm.word_vectors import WordVectors, to_bytes
from tests.unit.cli.conftest import Terminal, write_mesh

WORDS = ("合同", "协议", "罪犯")


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path.as_uri())


@pytest.fixture
def plumb(terminal: Terminal, store):
    app = FastAPI()
    problems.install(app)
    app.include_router(vectors_api.routes(store))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    write_mesh(terminal.layout, port=server.servers[0].sockets[0].getsockname()[1])
    yield terminal
    server.should_exit = True
    thread.join(10)


def keep(store, number, rows, *, words=WORDS, **fields):
    vectors = WordVectors(words, np.arange(90, 90 - len(words), -1), np.array(rows, dtype=np.float32))
    version = VectorsVersion(
        domain="law", event_id=UUID(int=number), number=number, corpus_digest=f"{number:064d}", state="learnt",
        vectors_digest=store.put_bytes(to_bytes(vectors)), num_words=3, dimensions=2, num_tokens=240, **fields,
    )  # fmt: skip
    vector_versions.note_done(store, version)


def test_versions_are_shown_one_a_line(plumb, store):
    assert "no corpus version yet" in plumb.plumb("vectors", "list").stdout
    keep(store, 1, [[1, 0], [1, 0.1], [0, 1]], drifted=(DriftedWord(word="苹果", drift=0.9),))
    failed = VectorsVersion(
        domain="law", event_id=UUID(int=2), number=2, corpus_digest="2" * 64, state="failed", reason="too short"
    )
    vector_versions.note_done(store, failed)
    vector_versions.note_waiting(store, failed.model_copy(update={"number": 3, "state": "waiting"}))
    lines = plumb.plumb("vectors", "list").stdout.splitlines()
    assert lines == [
        "   1  3 words of 2 dimensions, from 240 words of text; moved most: 苹果",
        "   2  none: too short",
        "   3  waits until the mesh is quiet",
    ]
    listing = json.loads(plumb.plumb("vectors", "list", "--json").stdout)
    assert [version["state"] for version in listing["versions"]] == ["learnt", "failed", "waiting"]


def test_synonyms_are_shown_with_their_likeness(plumb, store):
    keep(store, 1, [[1, 0], [1, 0.1], [0, 1]])
    lines = plumb.plumb("vectors", "synonyms", "合同", "罪犯", "量子").stdout.splitlines()
    assert lines == [
        "合同  协议 0.99*",
        "罪犯  none is near",
        "量子  no vector: too rare",
        "corpus version 1; * the nearness is mutual",
    ]
    found = json.loads(plumb.plumb("vectors", "synonyms", "合同", "--number", "1", "--json").stdout)
    assert [one["word"] for one in found["candidates"]["合同"]] == ["协议"]


def test_drift_is_shown_the_largest_first(plumb, store):
    words = (*WORDS, *(f"词{number}" for number in range(7)))
    rare = [[1, -1], [1, -2], [2, -1], [-1, -1], [-1, 1], [-2, 1], [-1, 3]]
    keep(store, 1, [[1, 0], [1, 0.1], [0, 1], *rare], words=words)
    keep(store, 2, [[1, 0], [0.1, 1], [0, 1], *rare], words=words)
    lines = plumb.plumb("vectors", "drift", "--limit", "2").stdout.splitlines()
    values = [float(line.split("  ")[0]) for line in lines[:-1]]
    assert values == sorted(values, reverse=True)
    assert len(values) == 2
    assert lines[-1] == (
        "from corpus version 1 to 2, aligned by 10 shared words of 2 dimensions; "
        "the fewer words a dimension, the smaller it looks"
    )
    asked = json.loads(plumb.plumb("vectors", "drift", "合同", "--before", "1", "--after", "2", "--json").stdout)
    assert [one["word"] for one in asked["words"]] == ["合同"]


def test_vectors_that_there_are_not_end_with_what_to_do(plumb):
    code, error = plumb.fails("vectors", "synonyms", "合同")
    assert isinstance(error, ProblemAnswered)
    assert code == Exit.FAILED
    assert "has word vectors" in str(error)
    assert "plumb vectors list" in (error.next_step or "")
