"""A bundle that answers: ONNX Runtime and the bundle's own tokenizer, never torch.

A session is used from several threads at once. One request runs on one thread: for sequences this short, threads inside a
request cost more than they bring, and threads that spin for work would starve the rest of the machine.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotImplementedByRuntime
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram

from shared.bundle import CONFIG, LABELS, SERVING_MODEL, TOKENIZER
from shared.errors import BundleRefused
from shared.lm.config import from_hf
from shared.lm.text import encode_prompt, encode_texts, special_ids

MAX_NEW_TOKENS = 64
DEFAULT_TOP_K = 40
MIN_TEMPERATURE = 1e-3
HALF_A_CHARACTER = "\ufffd"
"""What a decoder shows for bytes that are no complete character yet."""
WARM_UP_TEXT = "x"


@dataclass(frozen=True)
class Prediction:
    """The answer to one text.

    Attributes:
        label: The class with the highest score.
        score: Its probability, 0 to 1.
        scores: Probability of each class; they sum to 1.
        truncated: Whether the end of the text did not fit into the model's context.
    """

    label: str
    score: float
    scores: dict[str, float]
    truncated: bool


@dataclass(frozen=True)
class Piece:
    """A part of a completion: whole characters, and how many tokens they took; characters may take several."""

    text: str
    num_tokens: int


class BundleSession:
    """A bundle in a folder, ready to answer."""

    def __init__(self, folder: Path) -> None:
        """Open a bundle that `shared.bundle.load` has fetched and verified.

        Raises:
            BundleRefused: Its serving form is not a model that ONNX Runtime can run.
        """
        self.labels: tuple[str, ...] = tuple(json.loads((folder / LABELS).read_text()))
        self.config = from_hf(json.loads((folder / CONFIG).read_text()))
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        # tokenizers 0.23 remembers up to 10,000 clauses, 4 kB each, and frees none of them with its tokenizer: a gateway that
        # goes from release to release would grow by 100 MB an hour at 7 new texts a second.
        # The constructor's `cache_capacity`, which a file cannot say. A model of whole words has no cache.
        if isinstance(self._tokenizer.model, BPE | Unigram):
            self._tokenizer.model._resize_cache(0)  # noqa: SLF001
        self._special = special_ids(self._tokenizer)
        self._session = _opened(folder / SERVING_MODEL)

    def warm(self) -> None:
        """Answer once of each kind, so that the first user does not wait for memory to be laid out."""
        self.classify([WARM_UP_TEXT] if self.labels else [])
        list(self.generate(WARM_UP_TEXT, max_new_tokens=2))

    def classify(self, texts: Sequence[str]) -> list[Prediction]:
        """Return a label for each text; a text's answer does not depend on the others.

        Raises:
            ValueError: The bundle has no labels.
        """
        if texts and not self.labels:
            raise ValueError("this bundle only continues text: it was trained on documents without labels")
        encoded = encode_texts(self._tokenizer, texts, block_size=self.config.block_size)
        return [self._predict(text.ids, truncated=text.truncated) for text in encoded]

    def generate(
        self,
        prompt: str,
        *,
        max_new_tokens: int = 32,
        temperature: float = 0.0,
        top_k: int = DEFAULT_TOP_K,
        seed: int = 0,
    ) -> Iterator[Piece]:
        """Yield the continuation of `prompt`, in pieces that are whole characters; the same seed gives the same text.

        The whole sequence runs again for each token, the last `block_size` tokens of it.

        Args:
            prompt: Of any length.
            max_new_tokens: 1 to 64; fewer come if the model ends the text.
            temperature: Below 0.001 the most probable token is taken each time: division by less leaves no other a chance.
            top_k: Tokens that are drawn from when the temperature is above 0.
            seed: Of the draws; not negative.

        Raises:
            ValueError: `max_new_tokens` is out of range.
        """
        if not 1 <= max_new_tokens <= MAX_NEW_TOKENS:
            msg = f"max_new_tokens is {max_new_tokens}, must be 1 to {MAX_NEW_TOKENS}"
            raise ValueError(msg)
        ids = encode_prompt(self._tokenizer, prompt)
        rng = np.random.default_rng(seed)
        return self._pieces(ids, max_new_tokens, _Sampler(temperature, top_k, rng))

    def _pieces(self, ids: list[int], max_new_tokens: int, sampler: "_Sampler") -> Iterator[Piece]:
        text = _IncrementalText(self._tokenizer)
        for _ in range(max_new_tokens):
            logits = self._run("next_logits", ids[-self.config.block_size :])
            logits[[self._special.pad, self._special.bos]] = -np.inf
            token = sampler.pick(logits)
            if token == self._special.eos:
                break
            ids.append(token)
            if piece := text.push(token):
                yield piece
        if rest := text.finish():
            yield rest

    def _predict(self, ids: list[int], *, truncated: bool) -> Prediction:
        probabilities = softmax(self._run("label_logits", ids))
        scores = {label: float(p) for label, p in zip(self.labels, probabilities, strict=True)}
        best = int(probabilities.argmax())
        return Prediction(self.labels[best], float(probabilities[best]), scores, truncated)

    def _run(self, output: str, ids: list[int]) -> NDArray[np.float32]:
        row_of_ids = np.array([ids], dtype=np.int64)
        feed = {"input_ids": row_of_ids, "attention_mask": np.ones_like(row_of_ids)}
        logits: NDArray[np.float32] = self._session.run([output], feed)[0][0]
        return logits


@dataclass(frozen=True)
class _Sampler:
    temperature: float
    top_k: int
    rng: np.random.Generator

    def pick(self, logits: NDArray[np.float32]) -> int:
        if self.temperature < MIN_TEMPERATURE:
            return int(logits.argmax())
        best = np.argsort(-logits, kind="stable")[: self.top_k]
        return int(self.rng.choice(best, p=softmax(logits[best] / self.temperature)))


class _IncrementalText:
    """Turns tokens into text as they come; bytes wait until they are a whole character, and are dropped if they never are."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._pending: list[int] = []

    def push(self, token: int) -> Piece | None:
        """Take one more token and return what can be shown, if anything."""
        self._pending.append(token)
        text = self._tokenizer.decode(self._pending)
        return None if text.endswith(HALF_A_CHARACTER) else self._shown(text)

    def finish(self) -> Piece | None:
        """Return what is left, if anything."""
        return self._shown(self._tokenizer.decode(self._pending)) if self._pending else None

    def _shown(self, text: str) -> Piece:
        piece = Piece(text.replace(HALF_A_CHARACTER, ""), len(self._pending))
        self._pending.clear()
        return piece


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities of one row of logits, in double precision, so that they sum to 1."""
    exponentials: NDArray[np.float64] = np.exp((logits - logits.max()).astype(np.float64))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum()
    return probabilities


def _opened(model: Path) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(model, _options(), providers=["CPUExecutionProvider"])
    # ONNX Runtime's errors have no class of their own in common.
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplementedByRuntime) as error:
        msg = f"the bundle is refused: its serving form cannot be opened: {error}"
        raise BundleRefused(msg, next_step="train again; nothing of it was served") from error


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
