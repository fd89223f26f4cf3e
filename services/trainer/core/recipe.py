"""Every number that decides what a training makes, in one place."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.lm.config import ModelConfig

Positive = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0)]


class Recipe(BaseModel):
    """How a model is trained.

    Attributes:
        n_layer: Transformer blocks.
        n_head: Query heads; divides `d_model`.
        n_kv_head: Key and value heads; divides `n_head`.
        d_model: Width of the residual stream.
        d_ff: Width of the feed-forward.
        block_size: Context, in tokens; longer documents are cut.
        first_tokens: Token budget of a training from scratch. A budget counts real tokens, padding excluded.
        tokens_per_new_document: Budget of a training that continues a bundle, for each document that the bundle has not seen,
        min_continued_tokens: but at least so many,
        max_continued_tokens: and at most so many.
        max_passes: No budget is larger than so many times the text: a handful of short documents would take as long as a corpus,
            one of them a step, and has nothing more to tell.
        replay_ratio: Old documents for each new one when continuing, so that old text is not forgotten.
        min_replay_documents: Old documents at least, where there are so many.
        tokens_per_batch: Padded tokens of a micro-batch.
        batches_per_step: Micro-batches of an optimizer step.
        min_kept_share: A run with another tokenizer than the serving bundle's goes on from its weights if at least this share of
            the new vocabulary's tokens has a row there; below it, it starts from scratch.
        new_rows: What rows of new tokens begin with, see `shared/lm/transfer.py`; `focus` and `scaled-focus` look at the
            domain's newest word vectors too, where there are some.
        learning_rate: Peak, from scratch.
        continued_learning_rate: Peak, when continuing.
        warmup_share: Share of the budget over which the rate rises from nothing.
        final_rate_share: What is left of the peak at the end of the linear decay.
        weight_decay: On matrices of the trunk.
        beta1: AdamW's first moment.
        beta2: AdamW's second moment; low, since runs are short.
        clip_norm: Largest norm of a step's gradient.
        label_weight: Weight of the classification loss beside the language-model loss.
        label_smoothing: Probability that the classification target leaves to all classes: a law's department is learnt from its
            articles, and certainty about those of known laws carries badly to unknown ones.
        precision: Of the working weights; their master copy is fp32. `auto`: bf16 where the processor multiplies it.
        seed: Of fresh weights and of the order of documents.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_layer: Positive = 2
    n_head: Positive = 4
    n_kv_head: Positive = 2
    d_model: Positive = 128
    d_ff: Positive = 352
    block_size: Positive = 128
    first_tokens: Positive = 600_000
    tokens_per_new_document: Positive = 50
    min_continued_tokens: Positive = 50_000
    max_continued_tokens: Positive = 150_000
    max_passes: Positive = 100
    replay_ratio: Annotated[float, Field(ge=0)] = 3.0
    min_replay_documents: Annotated[int, Field(ge=0)] = 1_000
    tokens_per_batch: Positive = 1_024
    batches_per_step: Positive = 1
    min_kept_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    new_rows: Literal["mean", "scaled-mean", "focus", "scaled-focus"] = "scaled-focus"
    learning_rate: Rate = 4e-3
    continued_learning_rate: Rate = 5e-4
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    final_rate_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    clip_norm: Rate = 1.0
    label_weight: Annotated[float, Field(ge=0)] = 0.4
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.2
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: int = 20_250_101

    @property
    def looks_at_word_vectors(self) -> bool:
        """Whether rows of new tokens begin by the domain's word vectors, where there are some."""
        return self.new_rows in {"focus", "scaled-focus"}

    def model(self, vocab_size: int) -> ModelConfig:
        """Return the sizes of a fresh model."""
        return ModelConfig(
            vocab_size=vocab_size,
            n_layer=self.n_layer,
            n_head=self.n_head,
            n_kv_head=self.n_kv_head,
            d_model=self.d_model,
            d_ff=self.d_ff,
            block_size=self.block_size,
        )

    def token_budget(self, *, num_new_documents: int, num_tokens: int, continues: bool) -> int:
        """Return the real tokens that a training may use; fixed before it starts.

        Args:
            num_new_documents: Documents that may be trained on and that the parent bundle has not seen.
            num_tokens: Real tokens of all documents that may be trained on.
            continues: Whether it goes on from a bundle's weights.
        """
        wanted = self.first_tokens
        if continues:
            wanted = min(num_new_documents * self.tokens_per_new_document, self.max_continued_tokens)
            wanted = max(self.min_continued_tokens, wanted)
        return min(wanted, self.max_passes * num_tokens)

    def num_replay(self, num_new_documents: int) -> int:
        """Return the old documents that an epoch shows beside the new ones."""
        return max(self.min_replay_documents, round(num_new_documents * self.replay_ratio))

    def peak_rate(self, *, continues: bool) -> float:
        """Return the highest learning rate of the run."""
        return self.continued_learning_rate if continues else self.learning_rate
