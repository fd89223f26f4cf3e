"""A bundle: everything that answers as one model, sealed under one digest.

The digest is the SHA-256 of the manifest, which names the digest of every file and of every parent. It holds no time and no
address, so sealing the same run twice gives the same digest.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from tokenizers import Tokenizer

from contracts.envelope import Contract, Digest, Domain
from shared.artifacts import ArtifactStore, file_digest
from shared.errors import BundleRefused
from shared.lm.config import ModelConfig, from_hf

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
HEADS, LABELS = "heads.safetensors", "labels.json"
SERVING_MODEL = "serving/model.onnx"
GENERATION, TRAINING = "generation_config.json", "training.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
"""What `transformers` reads beside the tokenizer. Not required: older bundles lack it, and no daemon looks at it."""
MANIFEST = "manifest.json"
REQUIRED = (CONFIG, WEIGHTS, TOKENIZER, HEADS, LABELS, SERVING_MODEL, GENERATION, TRAINING)


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or path in {"", ".", MANIFEST}:
        raise ValueError("a path of a bundle stays inside the bundle")
    return path


RelativePath = Annotated[str, AfterValidator(_inside)]


class BundleFile(Contract):
    """One file of a bundle."""

    digest: Digest
    size_bytes: Annotated[int, Field(ge=0)]


class Parents(Contract):
    """What a bundle was made of.

    Attributes:
        parent_bundle_digest: The bundle whose weights it continues; None: trained from scratch.
        ancestors: That bundle and those before it, nearest first.
        code: Version and source digest of the code that trained it.
    """

    corpus_digest: Digest
    tokenizer_digest: Digest
    parent_bundle_digest: Digest | None
    ancestors: tuple[Digest, ...]
    code: str


class VocabularyTransfer(Contract):
    """How a training that changed the vocabulary began its embedding.

    Attributes:
        parent_tokenizer_digest: The tokenizer whose rows it took over.
        num_kept: Rows that are the parent's, bit for bit.
        num_added: Rows that began anew.
        num_dropped: Tokens of the parent that the new tokenizer lacks.
        initialisation: What new rows began with, one of `shared.lm.transfer`.
        vectors_digest: The word vectors that were looked at; None: none were.
        num_by_vectors: New rows that began by them.
    """

    parent_tokenizer_digest: Digest
    num_kept: Annotated[int, Field(ge=0)]
    num_added: Annotated[int, Field(ge=0)]
    num_dropped: Annotated[int, Field(ge=0)]
    initialisation: str
    vectors_digest: Digest | None = None
    num_by_vectors: Annotated[int, Field(ge=0)] = 0


class TrainingRecord(Contract):
    """How long a bundle was trained. The whole recipe is its file `training.json`.

    Attributes:
        transfer: None where the vocabulary is the parent's, or there is no parent.
    """

    token_budget: int
    num_tokens: int
    num_steps: int
    num_skipped_steps: int
    seed: int
    loss: float
    transfer: VocabularyTransfer | None = None


class Manifest(Contract):
    """The contents of a bundle."""

    format_version: Literal[1] = 1
    domain: Domain
    files: dict[RelativePath, BundleFile]
    parents: Parents
    labels: tuple[str, ...]
    model: ModelConfig
    training: TrainingRecord


def seal(
    store: ArtifactStore,
    folder: Path,
    *,
    domain: Domain,
    parents: Parents,
    model: ModelConfig,
    training: TrainingRecord,
) -> Digest:
    """Store every file below `folder`, then the manifest, and return the bundle's digest.

    Raises:
        BundleRefused: The parts do not belong together.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    files = {
        path.relative_to(folder).as_posix(): BundleFile(digest=file_digest(path), size_bytes=path.stat().st_size)
        for path in paths
    }
    manifest = Manifest(
        domain=domain, files=files, parents=parents, labels=_labels(folder), model=model, training=training
    )
    check(manifest, folder)
    for path in paths:
        store.put_file(path)
    return store.put_bytes(canonical(manifest))


def canonical(manifest: Manifest) -> bytes:
    """Return the bytes that the bundle's digest is made of: sorted keys, no spaces, UTF-8."""
    values = manifest.model_dump(mode="json")
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def read_manifest(store: ArtifactStore, digest: Digest) -> Manifest:
    """Return what a bundle says of itself.

    Raises:
        ArtifactMissing: There is no such bundle.
        ArtifactCorrupt: Its bytes do not match the digest.
        BundleRefused: The artifact is no bundle that this version can read.
    """
    try:
        return Manifest.model_validate_json(store.read_bytes(digest))
    except ValidationError as error:
        msg = f"artifact {digest} is not the manifest of a bundle: {error}"
        raise BundleRefused(msg) from error


def load(store: ArtifactStore, digest: Digest, target: Path) -> Manifest:
    """Fetch a bundle into the folder `target`, verified; what lies there already and is right is kept.

    Raises:
        ArtifactMissing: The bundle or one of its files is gone.
        ArtifactCorrupt: A file does not match its digest.
        BundleRefused: The parts do not belong together.
    """
    manifest = read_manifest(store, digest)
    for path, file in manifest.files.items():
        if not (target / path).is_file() or file_digest(target / path) != file.digest:
            store.fetch(file.digest, target / path)
    check(manifest, target)
    store.fetch(digest, target / MANIFEST)
    return manifest


def check(manifest: Manifest, folder: Path) -> None:
    """Refuse a bundle whose parts do not belong together.

    Raises:
        BundleRefused: A file is absent, or tokenizer, weights, labels and manifest contradict each other.
    """
    missing = [name for name in REQUIRED if name not in manifest.files]
    if missing:
        raise _refused(f"it lacks {', '.join(missing)}")
    if manifest.files[TOKENIZER].digest != manifest.parents.tokenizer_digest:
        raise _refused("its tokenizer is not the one that it was trained with")
    if from_hf(_json(folder / CONFIG)) != manifest.model:
        raise _refused("config.json and the manifest give different sizes")
    if _labels(folder) != manifest.labels:
        raise _refused("labels.json and the manifest give different labels")
    _check_rows(manifest, folder)


def _check_rows(manifest: Manifest, folder: Path) -> None:
    tokens = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab_size(with_added_tokens=True)
    rows = {
        "the tokenizer's vocabulary": (tokens, manifest.model.vocab_size),
        "the embedding": (_rows(folder / WEIGHTS, "model.embed_tokens.weight"), manifest.model.vocab_size),
        "the label head": (_rows(folder / HEADS, "label_head.weight"), len(manifest.labels)),
    }
    for part, (found, expected) in rows.items():
        if found != expected:
            raise _refused(f"{part} has {found} entries, the manifest says {expected}")


def _rows(path: Path, tensor: str) -> int | None:
    """Return the first dimension of a tensor, from the header of a safetensors file: its length, then JSON."""
    with path.open("rb") as file:
        (num_bytes,) = struct.unpack("<Q", file.read(8))
        header: Mapping[str, Mapping[str, list[int]]] = json.loads(file.read(num_bytes))
    return header[tensor]["shape"][0] if tensor in header else None


def _json(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise _refused(f"{path.name} is not JSON: {error}") from error


def _labels(folder: Path) -> tuple[str, ...]:
    path = folder / LABELS
    return tuple(_json(path)) if path.exists() else ()


def _refused(reason: str) -> BundleRefused:
    return BundleRefused(f"the bundle is refused: {reason}", next_step="train again; nothing of it was served")
