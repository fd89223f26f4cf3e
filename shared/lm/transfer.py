"""Embedding rows for another vocabulary: what both have is copied, what is new begins from what the old one knew.

A row of a new token that is drawn at random costs the model what it had learnt of the text behind it. So:

- `mean`: the mean of the rows of the pieces into which the old tokenizer splits the token's text, which works better than random
  rows for the authors of Chinese-LLaMA-Alpaca-2 (their issue 538).
- `scaled-mean`: the same, stretched to the mean norm of these pieces: m x n / |m|. The mean of k rows that point in different
  directions is about sqrt(k) shorter than each. Mean with norm correction is the default of NVIDIA's tokenizer extension for
  Nemotron; why it is not ours, see `DEFAULT`. Not to the median norm of all rows: in a matrix that is the output layer too, a
  row's norm says how rare its token is.
- `focus`: half of it the mean of the pieces, the other half a sparse convex combination of the rows that both vocabularies have,
  weighted by likeness in an auxiliary space (FOCUS, Dobler and de Melo 2023; in the spirit of WECHSEL, Minixhofer et al. 2022):
  word vectors, or the characters that tokens share. Either half alone begins worse, and stays worse after 50,000 tokens: what a
  token is written with and what keeps its company say different things (tests/benchmarks/embedding_transfer.py).
- `scaled-focus`, the default: `focus`, each row that word vectors helped to begin stretched to the mean norm of its pieces.
- `random`: what fresh rows would be, to compare with.

Shapes, as suffixes: V rows of the old matrix, W of the new one, D model, K tokens that are kept, N new ones, S auxiliary space.
Optimizer moments are not transferred: they belong to steps that a new run does not repeat.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

Matrix = NDArray[np.float32]
Ids = NDArray[np.intp]

NO_TEXT = "\ufffd"
"""What bytes decode to that are no whole character."""
STANDS_FOR_NO_TEXT = re.compile(r"<0x[0-9A-F]{2}>|<[^<>\s]+>|<\|.+\|>")
"""Byte tokens and special ones: they are like no other token."""

SPACE_WIDTH = 1024
MAX_NGRAM = 3
NUM_HASHES = 4
CHUNK_ROWS = 256
"""256 rows of likeness to 20,000 tokens are 20 MB."""


class Initialisation(StrEnum):
    """How rows of new tokens begin."""

    MEAN = "mean"
    SCALED_MEAN = "scaled-mean"
    FOCUS = "focus"
    SCALED_FOCUS = "scaled-focus"
    RANDOM = "random"


DEFAULT = Initialisation.SCALED_FOCUS
"""What begins lowest and stays lowest, in bits a held-out character of statutes, for parents of three seeds (figures of
tests/benchmarks/embedding_transfer.py). Norm correction pays only where word vectors say what a token is like: it is 0.002 to
0.003 below `focus` at once, and 0.005 to 0.006 after 40,000 tokens. Without them the direction gains less than the length costs,
for in a matrix that is the output layer too a longer row makes its token likelier everywhere: `scaled-mean` is 0.09 above `mean`
at once and 0.03 after 40,000 tokens, and `focus` by characters would lose 0.05 and 0.014. So that one is not stretched."""


@dataclass(frozen=True, kw_only=True)
class TransferPlan:
    """Which row comes from where; one plan serves the embedding, an untied head and whatever else has a row a token.

    Attributes:
        kept_old_K: Old ids of the tokens that both vocabularies have, by their strings.
        kept_new_K: Their new ids.
        added_N: New ids without such a token, ascending.
        pieces_N: For each of them the old ids of its text; empty where the old tokenizer makes nothing of it.
        tokens_N: Their strings.
        kept_tokens_K: The strings of those that are kept.
        num_dropped: Tokens that only the old vocabulary has.
        num_old: Ids of the old vocabulary, gaps counted.
        num_new: Of the new one.
    """

    kept_old_K: Ids
    kept_new_K: Ids
    added_N: Ids
    pieces_N: tuple[tuple[int, ...], ...]
    tokens_N: tuple[str, ...]
    kept_tokens_K: tuple[str, ...]
    num_dropped: int
    num_old: int
    num_new: int

    @property
    def num_kept(self) -> int:
        """Rows that are copied."""
        return len(self.kept_new_K)

    @property
    def num_added(self) -> int:
        """Rows that begin anew."""
        return len(self.added_N)

    @property
    def share_kept(self) -> float:
        """Share of the new vocabulary's rows that are copied, 0 to 1."""
        return self.num_kept / self.num_new if self.num_new else 0.0


def plan_transfer(old: Tokenizer, new: Tokenizer) -> TransferPlan:
    """Return which rows of `new` are rows of `old`, and of which pieces the others are made.

    Example:
        The old tokenizer knows 劳动 and 合同, the new one 劳动合同 as well: its pieces are the ids of 劳动 and 合同.
    """
    old_ids, new_ids = old.get_vocab(with_added_tokens=True), new.get_vocab(with_added_tokens=True)
    tokens = {index: token for token, index in new_ids.items()}
    kept = sorted((index, old_ids[token]) for token, index in new_ids.items() if token in old_ids)
    num_new = max(tokens, default=-1) + 1
    added = sorted(set(range(num_new)).difference(index for index, _ in kept))
    return TransferPlan(
        kept_old_K=np.array([index for _, index in kept], dtype=np.intp),
        kept_new_K=np.array([index for index, _ in kept], dtype=np.intp),
        added_N=np.array(added, dtype=np.intp),
        pieces_N=_pieces(old, new, added),
        tokens_N=tuple(tokens.get(index, "") for index in added),
        kept_tokens_K=tuple(tokens[index] for index, _ in kept),
        num_dropped=len(old_ids) - len(kept),
        num_old=max(old_ids.values(), default=-1) + 1,
        num_new=num_new,
    )


def transfer_rows(
    rows_VD: Matrix,
    old: Tokenizer,
    new: Tokenizer,
    *,
    how: Initialisation = DEFAULT,
    space: Mapping[str, Matrix] | None = None,
    rng: np.random.Generator | None = None,
) -> Matrix:
    """Return the matrix of the new vocabulary; see `transferred`."""
    return transferred(rows_VD, plan_transfer(old, new), how=how, space=space, rng=rng)


def transferred(
    rows_VD: Matrix,
    plan: TransferPlan,
    *,
    how: Initialisation = DEFAULT,
    space: Mapping[str, Matrix] | None = None,
    rng: np.random.Generator | None = None,
) -> Matrix:
    """Return the matrix of the new vocabulary, (W, D).

    Rows of tokens that both vocabularies have are the old ones, bit for bit.

    Args:
        rows_VD: An embedding, or the rows of an untied head; at least as many rows as the old vocabulary has ids.
        plan: Of the two tokenizers.
        how: What new rows begin with.
        space: For `focus` and `scaled-focus`: vectors of tokens by their strings, of one width; None: `character_space`. A new
            token without one begins as with `mean`.
        rng: For `random`; None: the generator of seed 0.

    Raises:
        ValueError: `rows_VD` has fewer rows than the old vocabulary.
    """
    if len(rows_VD) < plan.num_old:
        msg = f"the matrix has {len(rows_VD)} rows, the old vocabulary {plan.num_old} ids"
        raise ValueError(msg)
    rows_WD = np.empty((plan.num_new, rows_VD.shape[1]), dtype=rows_VD.dtype)
    rows_WD[plan.kept_new_K] = rows_VD[plan.kept_old_K]
    if plan.num_added:
        rows_WD[plan.added_N] = _begun(rows_VD[: plan.num_old], plan, how, space, rng or np.random.default_rng(0))
    return rows_WD


def _begun(
    rows_VD: Matrix,
    plan: TransferPlan,
    how: Initialisation,
    space: Mapping[str, Matrix] | None,
    rng: np.random.Generator,
) -> Matrix:
    match how:
        case Initialisation.RANDOM:
            return rng.normal(0.0, rows_VD.std(), (plan.num_added, rows_VD.shape[1])).astype(rows_VD.dtype)
        case Initialisation.MEAN:
            return piece_means(rows_VD, plan.pieces_N)
        case Initialisation.SCALED_MEAN:
            return scaled_means(rows_VD, plan.pieces_N)
        case Initialisation.FOCUS:
            return _focus(rows_VD, plan, space)[0]
        case Initialisation.SCALED_FOCUS:
            begun_ND, targets = _focus(rows_VD, plan, space)
            if space is not None:
                begun_ND[targets] = stretched(begun_ND[targets], rows_VD, [plan.pieces_N[place] for place in targets])
            return begun_ND


def piece_means(rows_VD: Matrix, pieces_N: Sequence[Sequence[int]]) -> Matrix:
    """Return the mean row of each token's pieces, (N, D).

    A token without pieces gets the mean of all rows, which hardly moves the other tokens' probabilities (Hewitt 2021).
    """
    counts_N = np.array([len(pieces) for pieces in pieces_N], dtype=np.intp)
    means_ND = np.tile(rows_VD.mean(axis=0, dtype=np.float64), (len(pieces_N), 1))
    if counts_N.any():
        flat = np.fromiter(chain.from_iterable(pieces_N), dtype=np.intp)
        has_pieces_N = counts_N > 0
        starts = (np.cumsum(counts_N) - counts_N)[has_pieces_N]
        sums = np.add.reduceat(rows_VD[flat].astype(np.float64), starts, axis=0)
        means_ND[has_pieces_N] = sums / counts_N[has_pieces_N, None]
    return means_ND.astype(rows_VD.dtype)


def scaled_means(rows_VD: Matrix, pieces_N: Sequence[Sequence[int]]) -> Matrix:
    """Return `piece_means`, each as long as its pieces are on the mean, (N, D)."""
    return stretched(piece_means(rows_VD, pieces_N), rows_VD, pieces_N)


def stretched(rows_ND: Matrix, rows_VD: Matrix, pieces_N: Sequence[Sequence[int]]) -> Matrix:
    """Return each row as long as its pieces are on the mean, (N, D); one without pieces stays as it is."""
    norms_V1 = np.linalg.norm(rows_VD, axis=1, keepdims=True)
    has_pieces_N1 = np.array([[len(pieces) > 0] for pieces in pieces_N], dtype=np.bool_).reshape(-1, 1)
    return np.where(has_pieces_N1, unit(rows_ND) * piece_means(norms_V1, pieces_N), rows_ND)


def unit(rows_ND: Matrix) -> Matrix:
    """Return each row at a norm of 1; a row of zeros stays."""
    norms_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    unit_ND: Matrix = (rows_ND / np.where(norms_N1 > 0, norms_N1, 1.0)).astype(rows_ND.dtype)
    return unit_ND


def sparsemax(scores_NK: Matrix) -> Matrix:
    """Return the Euclidean projection of each row onto the probability simplex (Martins and Astudillo 2016, algorithm 1).

    Unlike softmax it gives most entries a weight of exactly zero.

    Example:
        >>> sparsemax(np.array([[1.0, 0.8, -1.0]])).round(2).tolist()
        [[0.6, 0.4, 0.0]]
    """
    sorted_NK = -np.sort(-scores_NK, axis=1)
    sums_NK = np.cumsum(sorted_NK, axis=1) - 1.0
    ranks_K = np.arange(1, scores_NK.shape[1] + 1)
    support_N1 = (sorted_NK * ranks_K > sums_NK).sum(axis=1, keepdims=True)
    threshold_N1 = np.take_along_axis(sums_NK, support_N1 - 1, axis=1) / support_N1
    weights_NK: Matrix = np.maximum(scores_NK - threshold_N1, 0.0).astype(scores_NK.dtype)
    return weights_NK


def character_space(tokens: Sequence[str]) -> Matrix:
    """Return a unit vector for each token, (len(tokens), S): its character n-grams of 1 to 3, hashed with signs.

    The hashing trick (Weinberger et al. 2009), with a hash that is the same in every process. Like tokens are close.
    """
    vectors = np.zeros((len(tokens), SPACE_WIDTH), dtype=np.float32)
    for row, token in enumerate(tokens):
        for size in range(1, MAX_NGRAM + 1):
            for start in range(len(token) - size + 1):
                places, signs = _hashed(token[start : start + size])
                np.add.at(vectors[row], places, signs)
    return unit(vectors)


def _hashed(ngram: str) -> tuple[list[int], list[float]]:
    """Return where an n-gram lies: at several places, so that two of them hardly ever share all."""
    digest = hashlib.blake2b(ngram.encode(), digest_size=2 * NUM_HASHES).digest()
    codes = [int.from_bytes(digest[start : start + 2]) for start in range(0, len(digest), 2)]
    return [code % SPACE_WIDTH for code in codes], [1.0 if code & 0x8000 else -1.0 for code in codes]


def _focus(rows_VD: Matrix, plan: TransferPlan, space: Mapping[str, Matrix] | None) -> tuple[Matrix, list[int]]:
    """Return the rows, (N, D), and the places of those that rows alike helped to begin; the others are means of pieces."""
    begun_ND = piece_means(rows_VD, plan.pieces_N)
    sources = [place for place, token in enumerate(plan.kept_tokens_K) if _is_like_others(token, space)]
    targets = [place for place, token in enumerate(plan.tokens_N) if _is_like_others(token, space)]
    if not sources or not targets:
        return begun_ND, []
    source_vectors, target_vectors = _vectors(
        [plan.kept_tokens_K[place] for place in sources], [plan.tokens_N[place] for place in targets], space
    )
    source_rows = rows_VD[plan.kept_old_K[sources]]
    for start in range(0, len(targets), CHUNK_ROWS):
        chunk = targets[start : start + CHUNK_ROWS]
        weights = sparsemax(target_vectors[start : start + CHUNK_ROWS] @ source_vectors.T)
        begun_ND[chunk] = (begun_ND[chunk] + weights @ source_rows) / 2
    return begun_ND, targets


def _is_like_others(token: str, space: Mapping[str, Matrix] | None) -> bool:
    if not token or STANDS_FOR_NO_TEXT.fullmatch(token):
        return False
    return space is None or token in space


def _vectors(
    sources: Sequence[str], targets: Sequence[str], space: Mapping[str, Matrix] | None
) -> tuple[Matrix, Matrix]:
    if space is None:
        return character_space(sources), character_space(targets)
    source_vectors, target_vectors = (
        unit(np.stack([space[token] for token in tokens]).astype(np.float32)) for tokens in (sources, targets)
    )
    # Word vectors share a direction, which makes all of them somewhat alike.
    centre = source_vectors.mean(axis=0)
    return unit(source_vectors - centre), unit(target_vectors - centre)


def _pieces(old: Tokenizer, new: Tokenizer, added: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return the old ids of each new token's text; special tokens have no text and so no pieces."""
    specials = {index for index, token in new.get_added_tokens_decoder().items() if token.special}
    texts = new.decode_batch([[index] for index in added], skip_special_tokens=False)
    has_text = [index not in specials and NO_TEXT not in text for index, text in zip(added, texts, strict=True)]
    encodings = old.encode_batch_fast(
        [text if has else "" for text, has in zip(texts, has_text, strict=True)], add_special_tokens=False
    )
    return tuple(tuple(encoding.ids) for encoding in encodings)
