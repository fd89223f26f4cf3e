"""The form of our tokenizers: a character-level BPE that never meets an unknown character and always gives the text back.

Ids: 0 `<pad>`, 1 `<bos>`, 2 `<eos>`, then the 256 bytes that stand in for characters outside the vocabulary, then characters,
merges and terms. Characters instead of bytes at the bottom: a Han character takes three bytes, and would cost three times the
merges. The Hugging Face `tokenizers` file is the tokenizer of record; whatever reads it, `transformers` too, encodes as we do.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer, decoders, models

from services.tokenizer_builder.core.merging import Learnt, Pair, Pieces
from services.tokenizer_builder.core.scripts import SPLIT
from services.tokenizer_builder.core.segmentation import counted

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>")
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))
"""The names that the BPE model looks for when a character is not in its vocabulary."""
NUM_FIXED = len(SPECIAL_TOKENS) + len(BYTE_TOKENS)

ASCII = [chr(code) for code in range(0x20, 0x7F)]
"""Always in the vocabulary: Chinese statutes hold few of them, the next text may hold all."""

MAX_ALPHABET_SHARE = 0.5
"""At most this share of the vocabulary goes to single characters; the rarest become bytes."""
MIN_VOCAB_SIZE = 512


@dataclass
class Draft:
    """A tokenizer that is being made.

    Attributes:
        names: The tokens by id: special ones, bytes, characters, then what merges and terms add.
        merges: Pairs of ids, the first to be applied first.
        ids: The tokens' ids.
        ranks: The places of the merges.
        terms: Tokens that are found before any merge, as added tokens.
    """

    names: list[str]
    merges: list[Pair] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict, init=False)
    ranks: dict[Pair, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.ids = {name: index for index, name in enumerate(self.names)}

    def merge(self, pair: Pair) -> int:
        """Append a merge and return the token that it makes: a new one, or one of this name that another pair makes."""
        name = self.names[pair[0]] + self.names[pair[1]]
        if pair not in self.ranks:
            self.ranks[pair] = len(self.merges)
            self.merges.append(pair)
        return self.add(name)

    def add(self, name: str) -> int:
        """Return the id of a token, a new one if there is none of this name."""
        if name not in self.ids:
            self.ids[name] = len(self.names)
            self.names.append(name)
        return self.ids[name]

    def add_term(self, term: str) -> None:
        """Make a term a token that is found before any merge."""
        self.add(term)
        self.terms.append(term)

    def learnable(self, pieces: Pieces, *, up_to: int, min_count: int, max_chars: int) -> list[Learnt]:
        """Learn merges from pieces until there are `up_to` tokens, and append them."""
        room = up_to - len(self.names)
        return pieces.learn(num_merges=room, min_count=min_count, max_chars=max_chars, next_token=self.merge)

    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer."""
        model = models.BPE(
            vocab=dict(self.ids),
            merges=[(self.names[left], self.names[right]) for left, right in self.merges],
            byte_fallback=True,
        )
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = SPLIT
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
        values = json.loads(tokenizer.to_str())
        values["added_tokens"] = [_added(self.ids[term], term) for term in sorted(self.terms, key=self.ids.__getitem__)]
        return Tokenizer.from_str(json.dumps(values))


def draft_of(alphabet: Iterable[str]) -> Draft:
    """Return a draft that knows characters and no merge."""
    return Draft([*SPECIAL_TOKENS, *BYTE_TOKENS, *alphabet])


def reopened(tokenizer: Tokenizer) -> Draft:
    """Return a tokenizer of ours as a draft, to be extended: all its ids stay."""
    values: dict[str, Any] = json.loads(tokenizer.to_str())
    names = [name for name, _ in sorted(values["model"]["vocab"].items(), key=lambda item: item[1])]
    draft = Draft(names)
    for left, right in values["model"]["merges"]:
        draft.merge((draft.ids[left], draft.ids[right]))
    draft.terms = [token["content"] for token in values["added_tokens"]]
    return draft


def _added(index: int, content: str) -> dict[str, Any]:
    """Return a term as `tokenizer.json` knows it: matched as it is written, and an ordinary token, not a special one."""
    return {
        "id": index, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": False, "special": False,
    }  # fmt: skip


def train(texts: Iterable[str], *, vocab_size: int, max_token_chars: int, min_count: int = 2) -> Tokenizer:
    """Return a plain BPE on unsegmented text, without terms; the same texts in any order give the same tokenizer.

    Args:
        texts: Training documents only, never held-out ones.
        vocab_size: Upper limit, special and byte tokens included; small corpora stay below it.
        max_token_chars: Longest token. Chinese has no spaces: without a cap whole clauses of a template become one token.
        min_count: A pair that is rarer is not merged.

    Raises:
        ValueError: `vocab_size` leaves no room beside special and byte tokens.
    """
    counts = counted(texts)
    draft = draft_of(alphabet_of(counts.characters, limit=alphabet_limit(vocab_size)))
    pieces = Pieces(counts.runs + counts.others, draft.ids, draft.names)
    draft.learnable(pieces, up_to=vocab_size, min_count=min_count, max_chars=max_token_chars)
    return draft.tokenizer()


def alphabet_limit(vocab_size: int) -> int:
    """Return how many single characters a vocabulary may have.

    Raises:
        ValueError: There is no room for any.
    """
    if vocab_size < MIN_VOCAB_SIZE:
        msg = f"vocab_size is {vocab_size}, at least {MIN_VOCAB_SIZE} are needed"
        raise ValueError(msg)
    return int((vocab_size - len(BYTE_TOKENS)) * MAX_ALPHABET_SHARE)


def alphabet_of(counts: Mapping[str, int], *, limit: int) -> list[str]:
    """Return the characters that get a token of their own: ASCII, then the most frequent ones; the rest become bytes."""
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    return list(dict.fromkeys([*ASCII, *ranked]))[:limit]


def to_json(tokenizer: Tokenizer) -> bytes:
    """Return the bytes of `tokenizer.json`; equal tokenizers give equal bytes."""
    return (tokenizer.to_str(pretty=True) + "\n").encode()


def thin(texts: Sequence[str], *, max_chars: int) -> list[str]:
    """Return the texts, or a sample of about `max_chars` characters that depends on nothing but each text.

    Which texts stay is decided by their SHA-256, so the sample covers old and new ones alike. Where a few long texts would all
    fall out, the one that comes nearest stays, and no text is longer than the sample may be: the beginning of it stays.
    """
    num_chars = sum(len(text) for text in texts)
    if num_chars <= max_chars:
        return list(texts)
    limit = int(max_chars / num_chars * (1 << 64))
    places = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts]
    kept = [text[:max_chars] for text, place in zip(texts, places, strict=True) if place < limit]
    return kept or [texts[places.index(min(places))][:max_chars]]
