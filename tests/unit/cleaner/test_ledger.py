"""The ledger: closed while a worker of a cancelled task still asks it, opened again, and of another layout."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from services.cleaner.ledger import Ledger, LedgerUnreadable

# In a process of its own: what it looks for ends a process.
CLOSE_UNDER_QUERIES = """
import sqlite3, sys, threading, time
from pathlib import Path
from services.cleaner.ledger import Ledger

path = Path(sys.argv[1])
num_answers = 0

def ask(ledger):
    global num_answers
    try:
        while True:
            ledger.domains()
            num_answers += 1
    except sqlite3.ProgrammingError as error:
        assert "closed" in str(error), error

for _ in range(200):
    ledger = Ledger(path)
    threads = [threading.Thread(target=ask, args=[ledger]) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.002)
    ledger.close()
    for thread in threads:
        thread.join()
print(num_answers)
"""


def test_closing_waits_for_the_query_of_another_thread(tmp_path: Path) -> None:
    program = [sys.executable, "-X", "faulthandler", "-c", CLOSE_UNDER_QUERIES, str(tmp_path / "ledger.sqlite")]

    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_a_ledger_of_another_layout_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE batches (number INTEGER PRIMARY KEY, batch_id TEXT NOT NULL)")
    with pytest.raises(LedgerUnreadable, match="layout 0 of another Plumbline"):
        Ledger(path)
    with closing(sqlite3.connect(path)) as old:
        assert old.execute("SELECT name FROM sqlite_master").fetchall() == [("batches",)]


def test_a_ledger_opens_again(tmp_path: Path) -> None:
    for _ in range(2):
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            assert ledger.domains() == []
