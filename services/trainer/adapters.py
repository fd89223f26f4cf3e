"""Where a run's inputs come from and where its bundle goes: the artifact store and the run's folder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path

import onnx
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from contracts.corpus import Document
from contracts.envelope import Digest
from services.trainer.core.job import TrainingJob
from services.trainer.core.model import with_vocabulary
from shared import bundle
from shared.artifacts import ArtifactStore
from shared.bundle import Manifest, Parents, TrainingRecord, VocabularyTransfer
from shared.corpus import read_content_keys, read_records
from shared.lm.gpt import GPT
from shared.lm.hf import load_model, read_config, save_model, write_json
from shared.lm.serving_graph import build_graph, quantize
from shared.lm.text import BOS, EOS, PAD, special_ids
from shared.lm.transfer import Initialisation, Matrix, TransferPlan, plan_transfer
from shared.lm.word_vectors import from_bytes, starting_rows

DISTRIBUTION = "plumbline-mesh"
CODE_FOLDERS = ("shared/lm", "services/trainer")
"""The code that decides what a training makes, below the folder that holds the packages."""

TOKENIZER_CONFIG = {"pad_token": PAD, "bos_token": BOS, "eos_token": EOS, "split_special_tokens": True}
"""Names the special tokens to `transformers`, which would read them from users' text, too, if it did not split them there."""


@dataclass(frozen=True)
class Parent:
    """The bundle that a run continues.

    Attributes:
        model: Its weights, with a row for each token of the run's tokenizer.
        ancestors: Its own digest, then those before it.
        transfer: How its embedding came to the run's vocabulary; None where it has the same tokenizer.
    """

    manifest: Manifest
    model: GPT
    ancestors: tuple[Digest, ...]
    transfer: VocabularyTransfer | None = None


def read_parent(store: ArtifactStore, job: TrainingJob, tokenizer: Tokenizer, folder: Path) -> Parent | None:
    """Return the bundle that `job` continues; None where there is none, or its vocabulary has too little in common.

    Args:
        store: Has the bundle.
        job: Names it.
        tokenizer: Of the run.
        folder: Where its files go.

    Raises:
        ArtifactMissing: The bundle, or the word vectors that the job names, are gone.
        NoWordVectors: What the job names holds something else.
    """
    if job.parent_bundle_digest is None:
        return None
    manifest = bundle.load(store, job.parent_bundle_digest, folder)
    model, _ = load_model(folder)
    ancestors = (job.parent_bundle_digest, *manifest.parents.ancestors)
    if manifest.parents.tokenizer_digest == job.tokenizer_digest:
        return Parent(manifest, model, ancestors)
    plan = plan_transfer(Tokenizer.from_file(str(folder / bundle.TOKENIZER)), tokenizer)
    if plan.share_kept < job.recipe.min_kept_share:
        return None
    space = _space(store, job, plan)
    model = with_vocabulary(model, plan, Initialisation(job.recipe.new_rows), space=space)
    return Parent(manifest, model, ancestors, _record(manifest, plan, job, space))


def _space(store: ArtifactStore, job: TrainingJob, plan: TransferPlan) -> Mapping[str, Matrix] | None:
    if job.vectors_digest is None:
        return None
    vectors = from_bytes(store.read_bytes(job.vectors_digest))
    return starting_rows(vectors, chain(plan.kept_tokens_K, plan.tokens_N))


def _record(
    manifest: Manifest, plan: TransferPlan, job: TrainingJob, space: Mapping[str, Matrix] | None
) -> VocabularyTransfer:
    return VocabularyTransfer(
        parent_tokenizer_digest=manifest.parents.tokenizer_digest,
        num_kept=plan.num_kept,
        num_added=plan.num_added,
        num_dropped=plan.num_dropped,
        initialisation=job.recipe.new_rows,
        vectors_digest=job.vectors_digest,
        num_by_vectors=0 if space is None else sum(token in space for token in plan.tokens_N),
    )


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
    write_json(folder / bundle.TOKENIZER_CONFIG, TOKENIZER_CONFIG)
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
        parent_bundle_digest=ancestors[0] if ancestors else None,
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
