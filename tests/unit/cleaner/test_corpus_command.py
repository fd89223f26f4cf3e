"""`plumb corpus` against the cleaner's real endpoints on a port: versions, what was removed, restoring, quarantine, diff."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from contracts.corpus import BatchCleaned, CorpusAmended, Document
from contracts.envelope import Event
from services.cleaner import api
from services.cleaner.orders import Orders
from services.cleaner.views import CorpusViews
from shared.cli.app import application
from shared.clock import FakeClock
from shared.errors import PlumblineError
from shared.problems import install
from shared.settings import OperatorSettings
from tests.unit.cleaner.test_versions import NOW, TEXTS, Cleaner, cleaner_in, family

TOKEN = "operator"
EventT = TypeVar("EventT", bound=Event)


class Said:
    """Stands where the broker is, and keeps what is sent."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish(self, _: object, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]


class Terminal:
    """Runs `plumb` against one cleaner."""

    def __init__(self, cleaner: Cleaner, said: Said, url: str, state_dir: Path) -> None:
        self.cleaner = cleaner
        self.said = said
        self._environment = {
            "PLUMBLINE_STATE_DIR": str(state_dir), "PLUMBLINE_URLS__CLEANER": url, "PLUMBLINE_OPERATOR_TOKEN": TOKEN,
            "COLUMNS": "240", "TERM": "dumb",
        }  # fmt: skip

    def plumb(self, *arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(application(), ["corpus", *arguments], env=self._environment | environment)

    def output(self, *arguments: str, **environment: str) -> str:
        result = self.plumb(*arguments, **environment)
        assert result.exit_code == 0, result.exception
        return result.output

    def fails(self, *arguments: str, **environment: str) -> PlumblineError:
        result = self.plumb(*arguments, **environment)
        assert isinstance(result.exception, PlumblineError), result.output
        return result.exception


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    cleaner, said, lock = cleaner_in(tmp_path / "cleaner"), Said(), asyncio.Lock()
    app = FastAPI()
    install(app)
    app.include_router(api.reading(views=CorpusViews(store=cleaner.store, ledger=cleaner.ledger), lock=lock))
    orders = Orders(store=cleaner.store, ledger=cleaner.ledger, cleaning=cleaner.cleaning)
    operator = OperatorSettings(operator_token=SecretStr(TOKEN))
    app.include_router(
        api.ordering(said, orders=orders, versions=cleaner.versions, lock=lock, clock=FakeClock(NOW), operator=operator)
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Terminal(cleaner, said, f"http://127.0.0.1:{port}", tmp_path / "state")
    server.should_exit = True
    thread.join(10)


def documents_of(cleaner: Cleaner) -> list[Document]:
    return cleaner.documents(cleaner.cut()[0])


def test_versions_say_what_they_hold_and_what_was_removed(terminal: Terminal):
    terminal.cleaner.clean([*family(1), *family(2)])
    terminal.cleaner.cut()
    output = terminal.output("versions")
    assert re.search(r"\b1 +[0-9a-f]{12} .* 2 duplicate, 2 near-duplicate", output)
    assert "superseded" in output


def test_eighty_columns_hold_headings_in_a_line_and_all_that_is_told(terminal: Terminal):
    batch_id = str(
        terminal.cleaner.clean([*family(1), *family(2), Document(document_id="stars", text="★" * 60)]).batch_id
    )
    terminal.cleaner.cut()
    terminal.plumb("quarantine", batch_id)
    narrow = {name: terminal.output(name, COLUMNS="80") for name in ("versions", "removed", "batches")}
    assert all(cell_len(line) <= 80 for output in narrow.values() for line in output.splitlines())
    heading, row, beneath, *_ = narrow["versions"].splitlines()
    assert heading.split("  ")[0] == "no."
    assert [len(line) for line in (heading, row)] == [heading.index("removed") + len("removed")] * 2
    assert beneath.startswith("    ")
    assert "removed as: 2 duplicate, 2 near-duplicate" in " ".join(narrow["versions"].split())
    assert narrow["batches"].splitlines()[1].split()[0] == batch_id
    assert "rejected: 1 mostly-symbols" in narrow["batches"]
    shown = json.loads(terminal.output("removed", "--json"))["documents"]
    assert len(shown) > 1
    for one in shown:
        assert re.search(rf"^{one['removed_id']} +{one['reason']} ", narrow["removed"], re.MULTILINE)
        assert f"document: {one['document_id']}" in narrow["removed"]


def test_one_text_with_two_labels_is_shown_with_both(terminal: Terminal):
    text = family(1)[0].text
    newer = Document(document_id="newer", text=text, label="刑法", labels=("合同",), published_on=date(2020, 1, 1))
    terminal.cleaner.clean([newer, Document(document_id="older", text=text, label="民法商法")])
    terminal.cleaner.cut()
    shown = terminal.output("removed", "--why", "--only", "label-conflict")
    assert "older (no date): label-conflict" in shown
    assert [line.strip() for line in shown.splitlines() if "labels:" in line] == [
        "labels: 民法商法",
        "labels: 刑法, 合同",
    ]


def test_what_was_removed_is_shown_with_its_reason_and_comes_back(terminal: Terminal):
    terminal.cleaner.clean([*family(1), Document(document_id="stars", text="★" * 60)])
    before = documents_of(terminal.cleaner)
    output = terminal.output("removed", "--why")
    assert "1 duplicate, 1 mostly-symbols, 1 near-duplicate" in output
    assert "paste 1 (no date): near-duplicate" in output
    assert "kept: law 1/1 (2010-01-01)" in output
    counted, told = terminal.output("removed", "--only", "nonsense").splitlines()
    assert counted.endswith("1 duplicate, 1 mostly-symbols, 1 near-duplicate")
    assert told == "none of them is asked for; --only takes a reason as it is named above"
    ids = re.findall(r"(?:duplicates|cleaning):[-0-9a-f]+:\d+", output)
    assert len(ids) == 3
    assert "3 documents come back" in terminal.output("restore", *ids, "--reason", "the lawyers want them")
    assert "0 documents come back" in terminal.output("restore", *ids)
    assert [event.num_documents for event in terminal.said.of(BatchCleaned)] == [1]
    after = documents_of(terminal.cleaner)
    assert {document.document_id for document in after} - {document.document_id for document in before} >= {"stars"}
    assert len(after) == len(before) + 3


def test_what_is_no_removed_document_is_refused_whole(terminal: Terminal):
    terminal.cleaner.clean(family(1))
    terminal.cleaner.cut()
    shown = json.loads(terminal.output("removed", "--json"))["documents"]
    for wrong in (
        "nonsense",
        f"duplicates:{shown[0]['batch_id']}:99",
        "cleaning:00000000-0000-0000-0000-000000000001:0",
    ):
        assert "removed" in (terminal.fails("restore", shown[0]["removed_id"], wrong).next_step or "")
    assert terminal.cleaner.ledger.restored("law") == frozenset()


def test_a_diff_names_what_was_added_removed_and_changed(terminal: Terminal):
    texts = [Document(document_id=f"d{number}", text=TEXTS[number]) for number in range(4)]
    bad = terminal.cleaner.clean([texts[0]])
    terminal.cleaner.clean([texts[1], texts[2]])
    terminal.cleaner.cut()
    terminal.cleaner.ledger.quarantine([bad.batch_id])
    newer = Document(document_id="d1", text=TEXTS[1], published_on=date(2021, 1, 1), label="law")
    terminal.cleaner.clean([newer, texts[3]])
    terminal.cleaner.cut()
    output = terminal.output("diff", "1", "2")
    assert "1 added, 1 removed, 1 changed, 1 unchanged" in output
    assert [line for line in output.splitlines() if line[:1] in "+-~"] == ["+ d3", "- d0", "~ d1: label, published_on"]


def test_a_batch_is_left_out_and_put_back_by_the_operator_only(terminal: Terminal):
    batch_id = str(terminal.cleaner.clean([Document(document_id="one", text=TEXTS[0])]).batch_id)
    assert "operator" in str(terminal.fails("quarantine", batch_id, PLUMBLINE_OPERATOR_TOKEN="wrong"))
    assert batch_id in terminal.output("quarantine", batch_id)
    assert documents_of(terminal.cleaner) == []
    assert "left out" in terminal.output("batches", "--quarantined")
    none = "no batch is left out of the next version"
    assert terminal.output("put-back", batch_id).strip() == none
    assert terminal.output("batches", "--quarantined").strip() == none
    assert len(documents_of(terminal.cleaner)) == 1
    nobody = "00000000-0000-0000-0000-000000000001"
    assert nobody in str(terminal.fails("quarantine", nobody))


def test_orders_say_whether_the_next_version_differs(terminal: Terminal):
    batch_id = str(terminal.cleaner.clean(family(1)).batch_id)
    terminal.cleaner.versions.cut("law", None, now=NOW - timedelta(seconds=1), traceparent=None)
    [duplicate] = json.loads(terminal.output("removed", "--only", "duplicate", "--json"))["documents"]
    terminal.output("quarantine", batch_id)
    terminal.output("put-back", batch_id)
    terminal.output("restore", duplicate["removed_id"])
    said = [(event.order, event.is_changed) for event in terminal.said.of(CorpusAmended)]
    assert said == [("quarantine", True), ("put-back", False), ("restore", True)]


def test_what_does_not_exist_is_said_with_the_next_step(terminal: Terminal):
    for command in (("versions",), ("removed",), ("diff", "1", "2")):
        assert "plumb train now" in (terminal.fails(*command).next_step or "")
