"""A character-level byte-pair encoding that never meets an unknown character and always gives the text back.

Ids: 0 `<pad>`, 1 `<bos>`, 2 `<eos>`, then the 256 bytes that stand in for characters outside the vocabulary, then characters and
merges. Characters instead of bytes at the bottom: a Han character takes three bytes, and would cost three times the merges.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>")
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))
"""The names that the BPE model looks for when a character is not in its vocabulary."""

PIECES = r" ?[[\p{L}\p{M}]&&[^\p{Han}]]+|\p{Han}+|[^\p{L}\p{M}]"
"""What merges may not cross: a word with the space before it, a run of Han characters; digits and punctuation stand alone.

Digits alone, since numbers tell statutes apart; punctuation alone, or templates like "and others," become tokens."""

ASCII = [chr(code) for code in range(0x20, 0x7F)]
"""Always in the vocabulary: Chinese statutes hold few of them, the next text may hold all."""

MAX_ALPHABET_SHARE = 0.5
"""At most this share of the vocabulary goes to single characters; the rarest become bytes."""
MIN_VOCAB_SIZE = 512


def train(texts: Sequence[str], *, vocab_size: int, max_token_chars: int) -> Tokenizer:
    """Return a tokenizer that is trained on `texts`; the same texts in the same order give the same tokenizer.

    Args:
        texts: Training documents only, never held-out ones.
        vocab_size: Upper limit, special and byte tokens included; small corpora stay below it.
        max_token_chars: Longest token. Chinese has no spaces: without a cap whole clauses of a template become one token.

    Raises:
        ValueError: `vocab_size` leaves no room beside special and byte tokens.
    """
    if vocab_size < MIN_VOCAB_SIZE:
        msg = f"vocab_size is {vocab_size}, at least {MIN_VOCAB_SIZE} are needed"
        raise ValueError(msg)
    room = vocab_size - len(BYTE_TOKENS)
    alphabet = alphabet_of(texts, limit=int(room * MAX_ALPHABET_SHARE))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), "isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=room,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        max_token_length=max_token_chars,
        min_frequency=2,
        show_progress=False,
        special_tokens=list(SPECIAL_TOKENS),
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return _with_byte_fallback(tokenizer)


def alphabet_of(texts: Iterable[str], *, limit: int) -> list[str]:
    """Return the characters that get a token of their own: ASCII, then the most frequent ones; the rest become bytes.

    Chosen here and not by the trainer, which picks among equally rare characters differently in each process.
    """
    counts = Counter(character for text in texts for character in text)
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    return list(dict.fromkeys([*ASCII, *ranked]))[:limit]


def _with_byte_fallback(tokenizer: Tokenizer) -> Tokenizer:
    """Return the tokenizer with the byte tokens put in behind the special ones; the trainer cannot do it.

    None of them is an added token, and no merge makes one: a text that says `<eos>` or `<0x41>` is read as these letters.
    """
    values = json.loads(tokenizer.to_str())
    learned = sorted(values["model"]["vocab"].items(), key=lambda item: item[1])[len(SPECIAL_TOKENS) :]
    names = (*SPECIAL_TOKENS, *BYTE_TOKENS, *(token for token, _ in learned))
    values["model"]["vocab"] = {token: index for index, token in enumerate(names)}
    values["model"]["byte_fallback"] = True
    values["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(values))


def to_json(tokenizer: Tokenizer) -> bytes:
    """Return the bytes of `tokenizer.json`; equal tokenizers give equal bytes."""
    return (tokenizer.to_str(pretty=True) + "\n").encode()


def thin(texts: Sequence[str], *, max_chars: int) -> list[str]:
    """Return the texts, or a sample of about `max_chars` characters that depends on nothing but each text.

    The trainer's memory grows by 30 MB for each MB of Chinese text. Which texts stay is decided by their SHA-256, so the sample
    covers old and new ones alike.
    """
    num_chars = sum(len(text) for text in texts)
    if num_chars <= max_chars:
        return list(texts)
    limit = int(max_chars / num_chars * (1 << 64))
    return [text for text in texts if int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) < limit]
