"""Which documents are trained on, and as what."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from contracts.corpus import Document
from shared.lm.text import encode_texts

NO_LABEL = -100
"""`torch.nn.functional.cross_entropy` skips it."""


@dataclass(frozen=True)
class Example:
    """One document as numbers.

    Attributes:
        ids: `<bos>`, its tokens, `<eos>`, cut to the context; at least two.
        label: Row of the label head, or NO_LABEL.
    """

    ids: list[int]
    label: int


@dataclass(frozen=True)
class TrainingSet:
    """What a run learns from.

    Attributes:
        new: Documents that the parent bundle has not seen; all of them in a training from scratch.
        replay: Documents that it has seen.
        labels: Names of the label head's rows.
    """

    new: list[Example]
    replay: list[Example]
    labels: tuple[str, ...]

    @property
    def num_tokens(self) -> int:
        """Real tokens of all its documents."""
        return sum(len(example.ids) for examples in (self.new, self.replay) for example in examples)


def training_set(
    new: Sequence[Document],
    old: Sequence[Document],
    tokenizer: Tokenizer,
    *,
    known_labels: tuple[str, ...],
    block_size: int,
) -> TrainingSet:
    """Return training documents, encoded.

    Args:
        new: Documents that the parent bundle has not seen.
        old: Those that it has.
        tokenizer: Of the run.
        known_labels: The parent bundle's labels; they keep their rows, new ones follow in alphabetic order.
        block_size: The model's context, in tokens.
    """
    found = {doc.label for docs in (new, old) for doc in docs if doc.label is not None}
    labels = (*known_labels, *sorted(found.difference(known_labels)))
    rows = {label: row for row, label in enumerate(labels)}
    return TrainingSet(
        new=_encode(new, tokenizer, rows, block_size), replay=_encode(old, tokenizer, rows, block_size), labels=labels
    )


def _encode(
    documents: Sequence[Document], tokenizer: Tokenizer, rows: dict[str, int], block_size: int
) -> list[Example]:
    encoded = encode_texts(tokenizer, [doc.text for doc in documents], block_size=block_size)
    labels = (NO_LABEL if doc.label is None else rows[doc.label] for doc in documents)
    return [Example(ids=text.ids, label=label) for text, label in zip(encoded, labels, strict=True)]
