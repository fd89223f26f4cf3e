"""Adds documents to an index in a folder and takes snapshots until somebody kills it.

python -m tests.unit.cleaner.near.saving_child FOLDER
"""

import itertools
import sys
from pathlib import Path

import numpy as np

from services.cleaner.core.near.index import NearIndex
from services.cleaner.near_files import NearFiles
from tests.unit.cleaner.near.made import articles, ranks, sketched


def main(folder: Path) -> None:
    files = NearFiles(folder)
    index = NearIndex(files.load())
    for step in itertools.count():
        first = len(index)
        # Every few snapshots the folder's files are merged; sometimes the last documents are forgotten.
        if step % 7 == 6:
            index.truncate(first - 30)
            first = len(index)
        texts = articles()[first % 20_000 : first % 20_000 + 60]
        index.add(first, sketched(texts), np.zeros(len(texts), dtype=np.uint64), ranks(texts))
        files.save(index.state())
        sys.stdout.write("saved\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
