"""The ledger between threads: a worker that goes on after its task was cancelled meets a ledger that is being closed."""

import subprocess
import sys
from pathlib import Path

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
