"""Texts that were made from others: what of them must not get into a corpus."""

from collections.abc import Sequence

from shared.corpus import is_held_out


def made_from_held_out(augmented_from: Sequence[str | None], groups: Sequence[str | None]) -> list[int]:
    """Return the positions of documents that were made from a text which is held out: training on them would learn the test.

    Args:
        augmented_from: Of each document.
        groups: Of each document: a made one has its original's. One that came without, which the contract refuses, counts too.
    """
    rows = enumerate(zip(augmented_from, groups, strict=True))
    return [at for at, (digest, group) in rows if digest is not None and (group is None or is_held_out(group))]
