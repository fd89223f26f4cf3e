import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared import bundle
from shared.artifacts import ArtifactStore
from shared.bundle import Manifest, canonical, load, read_manifest, seal
from shared.errors import ArtifactCorrupt, ArtifactMissing, BundleRefused


def sealed_again(world, folder, **changes):
    found = json.loads((folder / bundle.MANIFEST).read_text())
    manifest = Manifest.model_validate({**found, **changes})
    fields = {"domain": manifest.domain, "parents": manifest.parents, "model": manifest.model}
    return seal(world.store, folder, **fields, training=manifest.training)


def test_sealing_the_same_files_again_gives_the_same_digest(world, sealed, folder):
    assert sealed_again(world, folder) == sealed
    assert sealed_again(world, folder, domain="medicine") != sealed


def test_the_manifest_names_every_file_and_every_parent(world, sealed, folder):
    manifest = read_manifest(world.store, sealed)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(manifest.files) == names - {bundle.MANIFEST}
    assert set(bundle.REQUIRED) <= set(manifest.files)
    assert manifest.parents.corpus_digest == world.first_corpus
    assert manifest.parents.tokenizer_digest == world.tokenizer
    assert (manifest.parents.parent_bundle_digest, manifest.parents.ancestors) == (None, ())
    assert manifest.parents.code
    assert canonical(manifest) == world.store.read_bytes(sealed)


def test_loading_repairs_a_file_that_was_spoilt_locally(world, sealed, folder):
    weights = folder / bundle.WEIGHTS
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + b"\x00")
    (folder / bundle.LABELS).unlink()
    load(world.store, sealed, folder)
    assert weights.read_bytes() == good


def test_a_bundle_whose_file_is_gone_from_the_store_is_not_loaded(world, sealed, tmp_path):
    poor = ArtifactStore(f"file://{tmp_path}/store")
    assert poor.put_bytes(world.store.read_bytes(sealed)) == sealed
    with pytest.raises(ArtifactMissing):
        load(poor, sealed, tmp_path / "bundle")
    assert not (tmp_path / "bundle" / bundle.MANIFEST).exists()


def test_a_bundle_whose_file_is_damaged_in_the_store_is_not_loaded(world, sealed, tmp_path):
    digest = read_manifest(world.store, sealed).files[bundle.WEIGHTS].digest
    damaged = ArtifactStore(f"file://{tmp_path}/store")
    for file in read_manifest(world.store, sealed).files.values():
        damaged.put_bytes(world.store.read_bytes(file.digest))
    damaged.put_bytes(world.store.read_bytes(sealed))
    (tmp_path / "store" / "sha256" / digest[:2] / digest).write_bytes(b"nonsense")
    with pytest.raises(ArtifactCorrupt):
        load(damaged, sealed, tmp_path / "bundle")


def test_what_is_no_manifest_is_refused(world):
    with pytest.raises(BundleRefused, match="not the manifest"):
        read_manifest(world.store, world.tokenizer)


def rename_label(folder):
    (folder / bundle.LABELS).write_text('["a", "b"]')


def widen(folder):
    config = json.loads((folder / bundle.CONFIG).read_text())
    (folder / bundle.CONFIG).write_text(json.dumps({**config, "intermediate_size": 64}))


def break_labels(folder):
    (folder / bundle.LABELS).write_text("[")


def swap_tokenizer(folder):
    path = folder / bundle.TOKENIZER
    path.write_text(path.read_text() + "\n")


def drop_serving_form(folder):
    (folder / bundle.SERVING_MODEL).unlink()


def swap_weights(folder):
    (folder / bundle.WEIGHTS).write_bytes((folder / bundle.HEADS).read_bytes())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (rename_label, "label head has 3 entries, the manifest says 2"),
        (widen, "different sizes"),
        (break_labels, "labels.json is not JSON"),
        (swap_tokenizer, "tokenizer is not the one"),
        (drop_serving_form, "lacks serving/model.onnx"),
        (swap_weights, "the embedding has None entries"),
    ],
)
def test_parts_that_do_not_belong_together_are_never_sealed(world, folder, spoil, reason):
    spoil(folder)
    with pytest.raises(BundleRefused, match=reason):
        sealed_again(world, folder)


def test_a_vocabulary_of_another_size_is_refused(world, folder):
    path = folder / bundle.TOKENIZER
    tokenizer = json.loads(path.read_text())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    tokenizer["added_tokens"].append({"id": 9_999, "content": "<more>", **flags})
    path.write_text(json.dumps(tokenizer))
    digest = world.store.put_file(path)
    parents = json.loads((folder / bundle.MANIFEST).read_text())["parents"]
    with pytest.raises(BundleRefused, match="tokenizer's vocabulary has"):
        sealed_again(world, folder, parents={**parents, "tokenizer_digest": digest})


def test_a_manifest_that_contradicts_its_files_is_refused_when_loading(world, sealed, tmp_path):
    values = json.loads(world.store.read_bytes(sealed))
    forged = world.store.put_bytes(json.dumps({**values, "labels": ["x", "y", "z"]}).encode())
    with pytest.raises(BundleRefused, match="different labels"):
        load(world.store, forged, tmp_path)


@given(st.sampled_from(["/etc/x", "../x", "a/../../x", "", ".", "manifest.json"]))
def test_a_path_that_leaves_the_bundle_is_refused(path):
    file = {"digest": "0" * 64, "size_bytes": 1}
    with pytest.raises(ValidationError, match="stays inside the bundle"):
        Manifest.model_validate({"domain": "law", "files": {path: file}})
