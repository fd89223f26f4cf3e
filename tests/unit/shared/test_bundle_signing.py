"""Signatures of bundles: made beside the manifest, asked for before anything is opened."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.artifacts import ArtifactStore
from shared.bundle_signing import KIND, Signatures, check, sign, signature_ref
from shared.embedded.layout import layout_of, make_secrets
from shared.errors import ArtifactCorrupt, ArtifactMissing, SignatureRefused
from shared.secrets import BUNDLE
from shared.signing import PublicKeys
from tests.keys import BUNDLE_KEYS, BUNDLE_SIGNER, OPERATOR_SIGNER, STRANGER
from tests.unit.inference_gateway.conftest import announce

MANIFEST = b'{"a manifest":"of a bundle"}'


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(f"file://{tmp_path}/artifacts")


def test_a_signed_bundle_passes_and_keeps_its_digest(store: ArtifactStore) -> None:
    digest = store.put_bytes(MANIFEST)
    sign(store, digest, BUNDLE_SIGNER)
    sign(store, digest, BUNDLE_SIGNER)
    check(store, digest, BUNDLE_KEYS)
    assert digest == hashlib.sha256(store.read_bytes(digest)).hexdigest()
    assert len(Signatures.model_validate_json(store.read_ref(signature_ref(digest)) or b"").signatures) == 1


def test_what_has_no_signature_or_another_s_is_refused(store: ArtifactStore) -> None:
    digest = store.put_bytes(MANIFEST)
    with pytest.raises(SignatureRefused, match=f"bundle {digest} is refused: .* carries no signature") as refused:
        check(store, digest, BUNDLE_KEYS)
    assert "PLUMBLINE_BUNDLE_PUBLIC_KEYS" in str(refused.value.next_step)
    for other in (STRANGER, OPERATOR_SIGNER):
        store.delete_ref(signature_ref(digest))
        sign(store, digest, other)
        with pytest.raises(SignatureRefused, match="unknown key"):
            check(store, digest, BUNDLE_KEYS)


def test_the_signature_of_one_bundle_is_none_of_another(store: ArtifactStore) -> None:
    one, other = store.put_bytes(MANIFEST), store.put_bytes(MANIFEST + b" ")
    sign(store, one, BUNDLE_SIGNER)
    store.write_ref(signature_ref(other), store.read_ref(signature_ref(one)) or b"")
    with pytest.raises(SignatureRefused, match="does not fit"):
        check(store, other, BUNDLE_KEYS)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"signatures": [{"key_id": "x", "value": "y"}]}'])
def test_what_cannot_be_read_is_no_signature(store: ArtifactStore, data: bytes) -> None:
    digest = store.put_bytes(MANIFEST)
    store.write_ref(signature_ref(digest), data)
    with pytest.raises(SignatureRefused, match="carries no signature"):
        check(store, digest, BUNDLE_KEYS)
    sign(store, digest, BUNDLE_SIGNER)
    check(store, digest, BUNDLE_KEYS)


def test_while_keys_are_changed_a_bundle_has_both_signatures(store: ArtifactStore) -> None:
    digest = store.put_bytes(MANIFEST)
    sign(store, digest, BUNDLE_SIGNER)
    sign(store, digest, STRANGER)
    for keys in (
        BUNDLE_KEYS,
        PublicKeys(STRANGER.public_pem),
        PublicKeys(STRANGER.public_pem + OPERATOR_SIGNER.public_pem),
    ):
        check(store, digest, keys)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300), st.data())
def test_any_flipped_bit_of_a_signed_manifest_is_refused(
    tmp_path_factory: pytest.TempPathFactory, manifest: bytes, data: st.DataObject
) -> None:
    store = ArtifactStore(f"file://{tmp_path_factory.getbasetemp()}/flipped")
    digest = store.put_bytes(manifest)
    sign(store, digest, BUNDLE_SIGNER)
    bit = data.draw(st.integers(0, 8 * len(manifest) - 1))
    flipped = bytearray(manifest)
    flipped[bit // 8] ^= 1 << (bit % 8)
    forged = store.put_bytes(bytes(flipped))
    store.write_ref(signature_ref(forged), store.read_ref(signature_ref(digest)) or b"")
    with pytest.raises(SignatureRefused):
        check(store, forged, BUNDLE_KEYS)


def test_a_manifest_that_is_gone_or_damaged_is_said_so(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing):
        check(store, "0" * 64, BUNDLE_KEYS)
    digest = store.put_bytes(MANIFEST)
    sign(store, digest, BUNDLE_SIGNER)
    (tmp_path / "artifacts" / "sha256" / digest[:2] / digest).write_bytes(MANIFEST + b"!")
    with pytest.raises(ArtifactCorrupt):
        check(store, digest, BUNDLE_KEYS)


def test_the_kind_is_part_of_what_is_signed(store: ArtifactStore) -> None:
    digest = store.put_bytes(MANIFEST)
    other = BUNDLE_SIGNER.sign(f"{KIND} ", MANIFEST)
    store.write_ref(signature_ref(digest), Signatures(signatures=(other,)).model_dump_json().encode())
    with pytest.raises(SignatureRefused):
        check(store, digest, BUNDLE_KEYS)


def test_what_was_released_before_bundles_were_signed_is_signed_once(tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "mesh")
    store = ArtifactStore(layout.artifacts_url)
    announce(store, tmp_path / "released", {"a": "civil"})
    (digest,) = [name.split("/")[1] for name in store.ref_names("bundles")]
    store.delete_ref(signature_ref(digest))
    make_secrets(layout)
    keys = PublicKeys((layout.secrets / BUNDLE.public).read_text())
    check(store, digest, keys)
    store.delete_ref(signature_ref(digest))
    make_secrets(layout)
    with pytest.raises(SignatureRefused):
        check(store, digest, keys)
