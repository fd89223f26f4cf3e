import gzip
import io
import random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.core.unpacking import BLOCK_BYTES, Compression, ExpandsTooFar, unpacked
from shared.errors import InvalidDocuments

PACK = {Compression.GZIP: gzip.compress, Compression.ZSTD: zstandard.compress}
PACKINGS = pytest.mark.parametrize("compression", list(PACK))


def content(packed: bytes, compression: Compression, max_expansion: float = 100.0) -> bytes:
    return b"".join(unpacked(io.BytesIO(packed), compression, max_expansion=max_expansion))


@PACKINGS
@settings(deadline=None, max_examples=50)
@given(parts=st.lists(st.binary(max_size=3_000), min_size=1, max_size=3))
def test_what_was_packed_comes_back_whatever_follows_what(compression: Compression, parts: list[bytes]) -> None:
    assert content(b"".join(PACK[compression](part) for part in parts), compression) == b"".join(parts)


def test_zeros_that_pad_a_gzip_member_are_passed_over() -> None:
    padded = gzip.compress(b"one") + bytes(300_000) + gzip.compress(b"two") + bytes(512)
    assert content(padded, Compression.GZIP) == b"onetwo"


@PACKINGS
def test_pieces_are_small_and_whole(compression: Compression) -> None:
    plain = random.Random(1).randbytes(1_000) * 3_000 + random.Random(2).randbytes(700_000)
    found = list(unpacked(io.BytesIO(PACK[compression](plain)), compression, max_expansion=1_000))
    assert max(map(len, found)) <= BLOCK_BYTES
    assert b"".join(found) == plain


@PACKINGS
@pytest.mark.parametrize("end", [1, 5, 0.5, -3])
def test_what_is_cut_off_is_refused(compression: Compression, end: float) -> None:
    packed = PACK[compression](random.Random(1).randbytes(10_000))
    with pytest.raises(InvalidDocuments, match="ends in the middle of a"):
        content(packed[: int(len(packed) * end) if end == 0.5 else int(end)], compression)


@PACKINGS
def test_what_is_not_packed_so_is_refused(compression: Compression) -> None:
    with pytest.raises(InvalidDocuments, match=f"is no {compression.value} that can be read"):
        content("专利法".encode() * 100, compression)


@PACKINGS
def test_a_bomb_is_refused_long_before_its_end(compression: Compression) -> None:
    num_bytes = 0
    with pytest.raises(ExpandsTooFar, match="more than 100 times"):  # noqa: PT012 (the count is part of it)
        for piece in unpacked(io.BytesIO(PACK[compression](bytes(300 << 20))), compression, max_expansion=100):
            num_bytes += len(piece)
    assert num_bytes <= 100 << 20


def test_a_body_without_packing_passes() -> None:
    assert content(b"abc" * 200_000, Compression.NONE) == b"abc" * 200_000
