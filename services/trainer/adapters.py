"""Where a run's inputs come from and where its bundle goes: the artifact store and the run's folder."""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnx
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from contracts.corpus import Document
from contracts.envelope import Digest
from services.trainer.core.job import TrainingJob
from shared import bundle
from shared.artifacts import ArtifactStore
from shared.bundle import Manifest, Parents, TrainingRecord
from shared.corpus import read_content_keys, read_records
from shared.errors import RunFailed
from shared.lm.gpt import GPT
from shared.lm.hf import load_model, read_config, save_model, write_json
from shared.lm.serving_graph import build_graph, quantize
from shared.lm.text import special_ids

DISTRIBUTION = "plumbline-mesh"
CODE_FOLDERS = ("shared/lm", "services/trainer")
"""The code that decides what a training makes, below the folder that holds the packages."""


@dataclass(frozen=True)
class Parent:
    """The bundle that a run continues.

    Attributes:
        ancestors: Its own digest, then those before it.
    """

    manifest: Manifest
    model: GPT
    ancestors: tuple[Digest, ...]


def read_parent(store: ArtifactStore, job: TrainingJob, folder: Path) -> Parent | None:
    """Return the bundle that `job` continues, or None.

    Raises:
        RunFailed: It has another tokenizer, so its embeddings mean something else.
    """
    if job.parent_bundle_digest is None:
        return None
    manifest = bundle.load(store, job.parent_bundle_digest, folder)
    if manifest.parents.tokenizer_digest != job.tokenizer_digest:
        msg = f"bundle {job.parent_bundle_digest} has another tokenizer than the run"
        raise RunFailed(msg, next_step="train from scratch")
    model, _ = load_model(folder)
    return Parent(manifest, model, (job.parent_bundle_digest, *manifest.parents.ancestors))


def read_texts(
    store: ArtifactStore, corpus_digest: Digest, known_corpus_digest: Digest | None
) -> tuple[list[Document], list[Document]]:
    """Return a corpus version's training documents: those that the known version lacks, and the others."""
    known = read_content_keys(store, known_corpus_digest) if known_corpus_digest else frozenset()
    new: list[Document] = []
    old: list[Document] = []
    for record in read_records(store, corpus_digest):
        if not record.held_out:
            (old if record.content_key in known else new).append(record.document)
    return new, old


def write_bundle(folder: Path, model: GPT, labels: tuple[str, ...], tokenizer_json: bytes, job: TrainingJob) -> None:
    """Put a bundle's files together in `folder`, the serving form made from the weights that were written."""
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    special = special_ids(tokenizer)
    save_model(folder, model, labels, special)
    (folder / bundle.TOKENIZER).write_bytes(tokenizer_json)
    ids = {"bos_token_id": special.bos, "eos_token_id": special.eos, "pad_token_id": special.pad}
    write_json(folder / bundle.GENERATION, {**ids, "max_length": model.config.block_size})
    write_json(folder / bundle.TRAINING, json.loads(job.recipe.model_dump_json()))
    _write_serving_form(folder)


def seal(
    store: ArtifactStore, folder: Path, job: TrainingJob, ancestors: tuple[Digest, ...], training: TrainingRecord
) -> Digest:
    """Seal the bundle in `folder` and return its digest."""
    parents = Parents(
        corpus_digest=job.corpus_digest,
        tokenizer_digest=job.tokenizer_digest,
        parent_bundle_digest=job.parent_bundle_digest,
        ancestors=ancestors,
        code=code_version(),
    )
    return bundle.seal(store, folder, domain=job.domain, parents=parents, model=read_config(folder), training=training)


def code_version() -> str:
    """Return the version of the distribution and a digest of the sources that decide what a training makes."""
    root = Path(__file__).parents[2]
    sources = sorted(path for folder in CODE_FOLDERS for path in (root / folder).rglob("*.py"))
    digest = hashlib.sha256()
    for path in sources:
        digest.update(f"{path.relative_to(root).as_posix()}\x00{path.read_text()}\x00".encode())
    try:
        return f"{version(DISTRIBUTION)}+{digest.hexdigest()[:16]}"
    except PackageNotFoundError:
        return f"0+{digest.hexdigest()[:16]}"


def _write_serving_form(folder: Path) -> None:
    weights = {**load_file(folder / bundle.WEIGHTS), **load_file(folder / bundle.HEADS)}
    target = folder / bundle.SERVING_MODEL
    target.parent.mkdir(exist_ok=True)
    exact = folder.with_name("exact.onnx")
    onnx.save_model(build_graph(read_config(folder), weights), exact)
    quantize(exact, target)
    exact.unlink()
