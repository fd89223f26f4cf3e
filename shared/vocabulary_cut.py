"""Cutting a general model's vocabulary: what `plumb tokenizer cut` asks of its child process, and what it gets back."""

from typing import Annotated

from pydantic import Field

from contracts.envelope import Contract

CHILD = "services.tokenizer_builder.surgery_run"
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class CutJob(Contract):
    """One cut.

    Attributes:
        model: A folder in the layout of Hugging Face.
        output: Where the cut model goes; absent or empty.
        documents: JSONL of documents; those of held-out groups only measure.
        coverage: Share of token occurrences that must stay whole.
    """

    model: str
    output: str
    documents: str
    coverage: Share


class CutReport(Contract):
    """What a cut saved and what it costs.

    Attributes:
        model_type: As `config.json` names it.
        vocab_before: Tokens of the tokenizer.
        vocab_after: Those that stayed.
        parameters_before: Of the whole model, tied ones once.
        parameters_after: The same after the cut.
        embedding_before: Parameters of the embedding and of an untied output layer.
        embedding_after: The same after the cut.
        embedding_saved: Share of these that is gone, 0 to 1.
        coverage_wanted: What was asked for.
        coverage: Share of token occurrences in the corpus that stay whole, 0 to 1.
        coverage_held_out: The same in text on which nothing was chosen; None where the corpus is too small to hold some out.
        tokens_per_char_before: Fertility of the old tokenizer on the held-out text, else on the corpus.
        tokens_per_char_after: Of the new one on the same text.
        round_trip_before: Share of documents that the old tokenizer gives back character for character.
        round_trip_after: The same for the new one.
        num_chars: Characters of the corpus, held-out text included.
        num_chars_held_out: Of the held-out text alone.
    """

    model_type: str
    vocab_before: Count
    vocab_after: Count
    parameters_before: Count
    parameters_after: Count
    embedding_before: Count
    embedding_after: Count
    embedding_saved: Share
    coverage_wanted: Share
    coverage: Share
    coverage_held_out: Share | None
    tokens_per_char_before: float
    tokens_per_char_after: float
    round_trip_before: Share
    round_trip_after: Share
    num_chars: Count
    num_chars_held_out: Count
