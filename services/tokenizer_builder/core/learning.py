"""Learning word vectors. Only the child process imports this: gensim, with scipy, takes a second and 100 MB."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import rjieba
from gensim.models import Word2Vec
from gensim.models.callbacks import CallbackAny2Vec

from services.tokenizer_builder.core.vectors_job import VectorRules
from shared.lm.word_vectors import NoWordVectors, WordVectors

OnEpoch = Callable[[int], None]


def segmented(texts: Iterable[str]) -> list[list[str]]:
    """Return the words of each text, without punctuation and spaces; digits stay, for what stands beside them.

    Each word is held once, however often it occurs: a fifth of the memory.
    """
    known: dict[str, str] = {}
    return [
        [known.setdefault(word, word) for word in rjieba.cut(text) if any(map(str.isalnum, word))] for text in texts
    ]


def learn(sentences: Sequence[Sequence[str]], rules: VectorRules, *, on_epoch: OnEpoch = lambda _: None) -> WordVectors:
    """Return the vectors of all words that are frequent enough.

    The same sentences in the same order give the same vectors in every process: one worker, since several race for the weights,
    and a hash that does not depend on the interpreter's seed.

    Args:
        sentences: Words of each document.
        rules: How.
        on_epoch: Told the number of each epoch that has ended, from 1.

    Raises:
        NoWordVectors: No word is frequent enough.
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    if max(counts.values(), default=0) < rules.min_count:
        msg = f"no word occurs {rules.min_count} times, so none has a vector"
        raise NoWordVectors(msg, next_step="submit more documents")
    model = Word2Vec(
        sentences,
        sg=1,
        vector_size=rules.dimensions,
        window=rules.window,
        negative=rules.negative,
        min_count=rules.min_count,
        epochs=rules.epochs,
        sample=rules.subsample,
        seed=rules.seed,
        workers=1,
        hashfxn=_hash,
        callbacks=[_Epochs(on_epoch)],
    )
    words = tuple(model.wv.index_to_key)
    # Half precision is what is kept: so they are the same before and after.
    vectors_WD = model.wv.vectors.astype(np.float16).astype(np.float32)
    return WordVectors(words, np.array([counts[word] for word in words], dtype=np.int64), vectors_WD)


class _Epochs(CallbackAny2Vec):  # type: ignore[misc]  # gensim has no annotations
    def __init__(self, on_epoch: OnEpoch) -> None:
        self._on_epoch = on_epoch
        self._ended = 0

    def on_epoch_end(self, _model: Word2Vec) -> None:
        self._ended += 1
        self._on_epoch(self._ended)


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())
