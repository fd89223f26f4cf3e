"""Cutting the vocabulary of a general model down to what a domain needs.

A general tokenizer has 50,000 to 250,000 tokens, a domain uses a tenth of them, and each has a row in the embedding and one in an
untied output layer. What stays: the tokens that make up the wanted share of the domain's text, what they are merged from, the 256
bytes, and every added token. So any text can still be written, and a text of whose tokens all stayed is written as before:

In a byte-level BPE the next merge is always the one of lowest rank. Within the span of a token that comes out whole no merge ever
crossed the span's borders, so those inside were the same as for that span alone. All of these are kept, in their order, and where
other merges are gone, the one that was the lowest of all still is the lowest.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers

from shared.errors import PermanentError

Json = dict[str, Any]
Pair = tuple[str, str]
Place = Callable[[int], int]

CHUNK_TEXTS = 256
BYTES = frozenset(pre_tokenizers.ByteLevel.alphabet())
"""The characters by which a byte-level tokenizer writes the 256 bytes."""
ID_ENDINGS = ("_token_id", "_token_ids")
ID_LISTS = frozenset({"suppress_tokens", "begin_suppress_tokens", "bad_words_ids"})
"""The fields of a configuration that hold ids of tokens; `max_new_tokens` does not."""


class UncuttableVocabulary(PermanentError):
    """A model's vocabulary cannot be cut: its tokenizer or its weights are of another kind than those that are understood."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Which tokens stay.

    Attributes:
        old_ids: Old ids in the order of the new ones; ascending, so what came first still comes first.
        num_old: Ids that the old tokenizer has.
    """

    old_ids: tuple[int, ...]
    num_old: int
    _new_ids: Mapping[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_new_ids", {old: new for new, old in enumerate(self.old_ids)})

    def new_id(self, old_id: int) -> int:
        """Return where a token went.

        Raises:
            UncuttableVocabulary: It did not stay, though something names it.
        """
        try:
            return self._new_ids[old_id]
        except KeyError:
            raise _uncuttable(f"something names the id {old_id}, which is no token of the tokenizer") from None

    def stays(self, old_id: int) -> bool:
        """Whether a token is kept."""
        return old_id in self._new_ids


def check(values: Json) -> None:
    """Check that a `tokenizer.json` is a byte-level BPE.

    Raises:
        UncuttableVocabulary: It is not.
    """
    kind = values.get("model", {}).get("type")
    if kind != "BPE":
        raise _uncuttable(f"its tokenizer is a {kind} model")
    missing = BYTES.difference(values["model"]["vocab"])
    if missing or not _has_byte_level(values.get("pre_tokenizer")):
        raise _uncuttable("its tokenizer is no byte-level BPE")


def choose(values: Json, counts: Mapping[int, int], *, coverage: float, named: Iterable[int] = ()) -> Cut:
    """Return the tokens that stay.

    Args:
        values: A `tokenizer.json` that `check` has let pass.
        counts: How often each id occurs in the domain's text.
        coverage: Share of these occurrences that must stay whole, 0 to 1; the most frequent tokens make it up. What else stays
            comes on top.
        named: Ids that stay since a configuration names them.

    Raises:
        ValueError: `coverage` is no share.
    """
    if not 0.0 <= coverage <= 1.0:
        msg = f"coverage is {coverage}, a share is 0 to 1"
        raise ValueError(msg)
    vocabulary: dict[str, int] = values["model"]["vocab"]
    token_of = {index: token for token, index in vocabulary.items()}
    wanted = {token_of[index] for index in most_frequent(counts, coverage=coverage) if index in token_of}
    ranks = ranks_of(values)
    ancestors = {part for token in wanted for part in derivation(token, ranks)}
    added = {token["id"] for token in values.get("added_tokens", [])}
    known = added.union(vocabulary.values())
    stays = {vocabulary[token] for token in wanted | ancestors | BYTES} | added | known.intersection(named)
    return Cut(old_ids=tuple(sorted(stays)), num_old=len(known))


def most_frequent(counts: Mapping[int, int], *, coverage: float) -> list[int]:
    """Return the fewest ids that make up at least `coverage` of all occurrences; of equally frequent ones the lower first.

    Example:
        >>> most_frequent({7: 90, 8: 6, 9: 4}, coverage=0.95)
        [7, 8]
    """
    total = sum(counts.values())
    taken: list[int] = []
    covered = 0
    for index in sorted(counts, key=lambda index: (-counts[index], index)):
        if covered >= coverage * total:
            break
        taken.append(index)
        covered += counts[index]
    return taken


def derivation(token: str, ranks: Mapping[Pair, int]) -> set[str]:
    """Return every token that comes up while the merges put `token` together, its bytes and itself included.

    Example:
        With the merges `a b` and `ab c`, abc comes from a, b, c and ab.
    """
    parts = list(token)
    seen = set(parts)
    while len(parts) > 1:
        rank, at = min((ranks.get(pair, len(ranks)), at) for at, pair in enumerate(pairwise(parts)))
        if rank == len(ranks):
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        seen.add(parts[at])
    return seen


def ranks_of(values: Json) -> dict[Pair, int]:
    """Return the rank of each merge of a `tokenizer.json`; both ways of writing them are read."""
    return {_pair(merge): rank for rank, merge in enumerate(values["model"]["merges"])}


def cut_tokenizer(values: Json, cut: Cut) -> Json:
    """Return the `tokenizer.json` with the tokens that stay, renumbered.

    Raises:
        UncuttableVocabulary: The post-processor names an id that is no token.
    """
    kept = deepcopy({name: value for name, value in values.items() if name != "model"})
    model = values["model"]
    vocabulary = {token: cut.new_id(old) for token, old in model["vocab"].items() if cut.stays(old)}
    merges = [merge for merge in model["merges"] if _stays(_pair(merge), vocabulary)]
    kept["model"] = {**model, "vocab": vocabulary, "merges": merges}
    for token in kept.get("added_tokens", []):
        token["id"] = cut.new_id(token["id"])
    if kept.get("post_processor"):
        kept["post_processor"] = _with_ids(kept["post_processor"], cut.new_id)
    return kept


def named_ids(values: Json) -> set[int]:
    """Return the ids that a configuration names."""
    found: set[int] = set()

    def note(index: int) -> int:
        found.add(index)
        return index

    _renumbered(values, note)
    return found


def cut_config(values: Json, cut: Cut) -> Json:
    """Return a `config.json` or `generation_config.json` whose ids are the new ones.

    Raises:
        UncuttableVocabulary: An id in it is no token.
    """
    renumbered = _renumbered(values, cut.new_id)
    return {**renumbered, "vocab_size": len(cut.old_ids)} if "vocab_size" in values else renumbered


def cut_tokenizer_config(values: Json, cut: Cut) -> Json:
    """Return a `tokenizer_config.json` whose table of added tokens has the new ids."""
    decoder = values.get("added_tokens_decoder")
    if decoder is None:
        return values
    renumbered = {str(cut.new_id(int(old))): token for old, token in decoder.items() if cut.stays(int(old))}
    return {**values, "added_tokens_decoder": renumbered}


@dataclass(frozen=True, kw_only=True)
class TextFit:
    """A tokenizer on a text.

    Attributes:
        num_chars: Of the text.
        num_tokens: Without special tokens that a template puts around it.
        round_trip: Share of the documents that come back from their ids character for character; some tokenizers normalise.
    """

    num_chars: int
    num_tokens: int
    round_trip: float

    @property
    def tokens_per_char(self) -> float:
        """Fertility; lower is better."""
        return self.num_tokens / self.num_chars if self.num_chars else 0.0


def count(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[int]:
    """Return how often each id occurs in the texts."""
    counts: Counter[int] = Counter()
    for ids in _encoded(tokenizer, texts):
        counts.update(ids)
    return counts


def coverage_of(counts: Mapping[int, int], cut: Cut) -> float:
    """Return the share of occurrences whose token stays, 0 to 1; 1 where there are none."""
    total = sum(counts.values())
    return sum(number for index, number in counts.items() if cut.stays(index)) / total if total else 1.0


def fit(tokenizer: Tokenizer, texts: Sequence[str]) -> TextFit:
    """Return how many tokens the texts take, and whether they come back."""
    ids_of = list(_encoded(tokenizer, texts))
    same = sum(
        tokenizer.decode(ids, skip_special_tokens=False) == text for ids, text in zip(ids_of, texts, strict=True)
    )
    return TextFit(
        num_chars=sum(map(len, texts)),
        num_tokens=sum(map(len, ids_of)),
        round_trip=same / len(texts) if texts else 1.0,
    )


def tokenizer_of(values: Json) -> Tokenizer:
    """Return the tokenizer that a `tokenizer.json` describes."""
    return Tokenizer.from_str(json.dumps(values, ensure_ascii=False))


def _encoded(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterable[list[int]]:
    chunk: list[str] = []
    for text in texts:
        chunk.append(text)
        if len(chunk) == CHUNK_TEXTS:
            yield from _ids_of(tokenizer, chunk)
            chunk = []
    yield from _ids_of(tokenizer, chunk)


def _ids_of(tokenizer: Tokenizer, chunk: Sequence[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(chunk), add_special_tokens=False)]


def _has_byte_level(part: Any) -> bool:  # noqa: ANN401 - JSON
    if not isinstance(part, dict):
        return False
    return part.get("type") == "ByteLevel" or any(map(_has_byte_level, part.get("pretokenizers", [])))


def _pair(merge: str | Sequence[str]) -> Pair:
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second


def _stays(pair: Pair, vocabulary: Mapping[str, int]) -> bool:
    return pair[0] in vocabulary and pair[1] in vocabulary and pair[0] + pair[1] in vocabulary


def _renumbered(values: Json, place: Place) -> Json:
    return {
        name: _ids(value, place) if name.endswith(ID_ENDINGS) or name in ID_LISTS else value
        for name, value in values.items()
    }


def _ids(value: Any, place: Place) -> Any:  # noqa: ANN401 - JSON
    """Return ids with their new numbers; None, flags, texts and the -1 that stands for none as they are."""
    if isinstance(value, list):
        return [_ids(one, place) for one in value]
    return place(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else value


def _with_ids(part: Json, place: Place) -> Json:
    """Return a post-processor with its ids renumbered: a template's, BERT's and RoBERTa's, and sequences of them."""
    changed = dict(part)
    for name in ("sep", "cls"):
        if name in part:
            token, index = part[name]
            changed[name] = [token, place(index)]
    if "special_tokens" in part:
        changed["special_tokens"] = {
            name: {**token, "ids": [place(index) for index in token["ids"]]}
            for name, token in part["special_tokens"].items()
        }
    if "processors" in part:
        changed["processors"] = [_with_ids(one, place) for one in part["processors"]]
    return changed


def _uncuttable(reason: str) -> UncuttableVocabulary:
    return UncuttableVocabulary(
        f"the vocabulary cannot be cut: {reason}", next_step="byte-level BPE models such as Qwen2 or Llama 3 can be cut"
    )
