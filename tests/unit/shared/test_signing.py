"""Signatures: what was signed passes; anything else is refused, and says why."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from contracts.signature import Signature
from shared.errors import SecretRefused, SignatureRefused
from shared.signing import PublicKeys, Signer, new_private_pem, public_keys_of, signer_of

SIGNER, OTHER = Signer(new_private_pem()), Signer(new_private_pem())
KEYS = PublicKeys(SIGNER.public_pem)


@settings(deadline=None)
@given(st.text(), st.binary())
def test_what_was_signed_passes(kind: str, body: bytes) -> None:
    KEYS.check(kind, body, [SIGNER.sign(kind, body)])


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_flipped_bit_of_body_or_signature_is_refused(body: bytes, data: st.DataObject) -> None:
    signature = SIGNER.sign("thing", body)
    raw = base64.b64decode(signature.value)
    bit = data.draw(st.integers(0, 8 * (len(body) + len(raw)) - 1))
    both = bytearray(body + raw)
    both[bit // 8] ^= 1 << (bit % 8)
    flipped, value = bytes(both[: len(body)]), base64.b64encode(both[len(body) :]).decode()
    with pytest.raises(SignatureRefused):
        KEYS.check("thing", flipped, [Signature(key_id=signature.key_id, value=value)])


@settings(deadline=None)
@given(st.text(), st.text(), st.binary())
def test_a_signature_of_one_kind_is_none_of_another(one: str, other: str, body: bytes) -> None:
    if one != other:
        with pytest.raises(SignatureRefused):
            KEYS.check(other, body, [SIGNER.sign(one, body)])


def test_kind_and_body_do_not_flow_into_each_other() -> None:
    with pytest.raises(SignatureRefused):
        KEYS.check("a", b"b 1 c", [SIGNER.sign("a 5 b", b"c")])


def test_a_missing_an_unknown_and_a_forged_signature_say_which_they_are() -> None:
    with pytest.raises(SignatureRefused, match="carries no signature"):
        KEYS.check("thing", b"x", [])
    with pytest.raises(SignatureRefused, match=f"unknown key: {OTHER.key_id}"):
        KEYS.check("thing", b"x", [OTHER.sign("thing", b"x")])
    forged = OTHER.sign("thing", b"x").model_copy(update={"key_id": SIGNER.key_id})
    with pytest.raises(SignatureRefused, match="forged") as refused:
        KEYS.check("thing", b"x", [forged])
    assert refused.value.next_step


def test_while_keys_are_changed_both_are_taken() -> None:
    both = PublicKeys(f"{SIGNER.public_pem}\nthe next one:\n{OTHER.public_pem}")
    assert both.key_ids == (SIGNER.key_id, OTHER.key_id)
    for signer in (SIGNER, OTHER):
        both.check("thing", b"x", [signer.sign("thing", b"x")])
    KEYS.check("thing", b"x", [OTHER.sign("thing", b"x"), SIGNER.sign("thing", b"x")])


def test_beside_a_good_signature_none_may_be_forged() -> None:
    both = PublicKeys(SIGNER.public_pem + OTHER.public_pem)
    forged = OTHER.sign("thing", b"y")
    with pytest.raises(SignatureRefused):
        both.check("thing", b"x", [SIGNER.sign("thing", b"x"), forged])


def test_the_same_thing_is_signed_alike() -> None:
    assert SIGNER.sign("thing", b"x") == SIGNER.sign("thing", b"x")


def test_the_bytes_are_dsse_s_so_that_others_can_verify_them() -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    value = base64.b64decode(Signer(pem).sign("http://example.com/HelloWorld", b"hello world").value)
    # The worked example of the DSSE specification, protocol.md.
    key.public_key().verify(value, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world")


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(SecretRefused):
        Signer(text)
    with pytest.raises(SecretRefused):
        PublicKeys(text.replace("PRIVATE", "PUBLIC"))


def test_another_kind_of_key_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(SecretRefused, match="Ed25519"):
        Signer(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    with pytest.raises(SecretRefused, match="Ed25519"):
        PublicKeys(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def test_an_absent_secret_names_who_lacks_what() -> None:
    with pytest.raises(SecretRefused, match="trainer has no bundle_key"):
        signer_of(None, owner="trainer", name="bundle_key")
    with pytest.raises(SecretRefused, match="evaluator has no bundle_public_keys"):
        public_keys_of("", owner="evaluator", name="bundle_public_keys")
    pem = SecretStr(new_private_pem())
    assert signer_of(pem, owner="trainer", name="bundle_key").key_id


@pytest.mark.parametrize("value", ["", "x" * 88, "A" * 85 + "==", "A" * 86])
def test_a_signature_has_64_bytes(value: str) -> None:
    with pytest.raises(ValidationError):
        Signature(key_id=SIGNER.key_id, value=value)
