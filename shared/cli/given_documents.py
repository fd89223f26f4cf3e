"""Documents that a command works on: those of files, read as `plumb ingest` reads them, or those of the newest corpus version."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from contracts.corpus import CorpusVersioned, Document
from shared.artifacts import ArtifactStore
from shared.cli.batches import Reading, lines_of
from shared.cli.errors import FileRefused
from shared.cli.ingest_files import Format, readable_twice, source_of
from shared.corpus import read_documents
from shared.embedded.layout import Layout


def documents_of_files(
    paths: Sequence[Path], reading: Reading, format_given: Format | None = None
) -> Iterator[Document]:
    """Yield the documents of files.

    Raises:
        FileRefused: Something in them is no document.
    """
    with readable_twice([source_of(path, format_given) for path in paths]) as sources:
        for source in sources:
            for line in lines_of(source, reading):
                yield Document.model_validate_json(line)


def newest_documents(layout: Layout, domain: str) -> Iterator[Document]:
    """Yield the originals in a domain's newest corpus version, from the artifacts of a state directory.

    Raises:
        FileRefused: There is none.
        ArtifactMissing: A part of it is gone.
        ArtifactCorrupt: It is damaged.
    """
    store = ArtifactStore(layout.artifacts_url)
    latest = store.read_ref(f"corpus/{domain}/latest")
    if latest is None:
        raise FileRefused(
            f"There is no corpus version of {domain} in {layout.root}.",
            next_step="Name files of documents, or the --state-dir and the --domain of a mesh that has cut a version.",
        )
    documents = read_documents(store, CorpusVersioned.model_validate_json(latest).corpus_digest)
    yield from (document for document in documents if document.augmented_from is None)


def documents_given(
    paths: Sequence[Path], reading: Reading, format_given: Format | None, layout: Layout, domain: str
) -> Iterator[Document]:
    """Yield the documents of files, or where none are named those of the newest corpus version; raises as these two."""
    return documents_of_files(paths, reading, format_given) if paths else newest_documents(layout, domain)
