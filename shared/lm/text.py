"""How a text becomes token ids: the same for training, evaluation and serving."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the tokens that stand for no text."""

    pad: int
    bos: int
    eos: int


@dataclass(frozen=True)
class Encoded:
    """A text as the model sees it.

    Attributes:
        ids: `<bos>`, the text's tokens, `<eos>`; cut to the model's context.
        truncated: Whether the end of the text was cut off.
    """

    ids: list[int]
    truncated: bool


def special_ids(tokenizer: Tokenizer) -> SpecialIds:
    """Return the ids of the special tokens.

    Raises:
        ValueError: The tokenizer lacks one of them.
    """
    return SpecialIds(pad=_id(tokenizer, PAD), bos=_id(tokenizer, BOS), eos=_id(tokenizer, EOS))


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], *, block_size: int) -> list[Encoded]:
    """Return each text as ids that fit into `block_size` tokens.

    Example:
        With a context of 4, a text of tokens 7 8 9 becomes `<bos> 7 8 9`: truncated, since `<eos>` had no room.
    """
    special = special_ids(tokenizer)
    encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [_frame(encoding.ids, special, block_size) for encoding in encodings]


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Return `<bos>` and the prompt's tokens, of any length."""
    ids: list[int] = tokenizer.encode(prompt, add_special_tokens=False).ids
    return [special_ids(tokenizer).bos, *ids]


def _id(tokenizer: Tokenizer, token: str) -> int:
    index = tokenizer.token_to_id(token)
    if index is None:
        msg = f"the tokenizer has no {token}"
        raise ValueError(msg)
    return index


def _frame(ids: list[int], special: SpecialIds, block_size: int) -> Encoded:
    whole = [special.bos, *ids, special.eos]
    return Encoded(ids=whole[:block_size], truncated=len(whole) > block_size)
