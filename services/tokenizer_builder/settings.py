"""What the tokenizer-builder is told, from `PLUMBLINE_*`; the rules as PLUMBLINE_TOKENIZER__VOCAB_SIZE and so on."""

from typing import Annotated

from pydantic import Field

from shared.settings import DaemonSettings, Group


class TokenizerRules(Group):
    """How a tokenizer is built, and when the serving one is kept."""

    vocab_size: Annotated[int, Field(ge=512, le=65_536)] = 6_000
    """Tokens at most, special and byte tokens included; small corpora stay below it."""
    max_token_chars: Annotated[int, Field(ge=1, le=64)] = 6
    """Longest token; without a limit whole clauses of a template become one."""
    max_build_chars: Annotated[int, Field(gt=0)] = 10_000_000
    """Characters of training text that a build looks at; more are sampled. Chinese has three bytes a character."""
    max_measure_chars: Annotated[int, Field(gt=0)] = 2_000_000
    """Characters of old and of new text on which coverage and fertility are measured."""
    min_coverage: Annotated[float, Field(ge=0, le=1)] = 0.995
    """The serving tokenizer is kept while it covers at least this share of the new text's characters,"""
    max_fertility_rise: Annotated[float, Field(ge=0)] = 0.10
    """and while its tokens per character on the new text are at most this share above those on the text before."""


class WordVectorSettings(Group):
    """Whether, when and how the word vectors of corpus versions are learnt."""

    enabled: bool = True
    """Off: corpus versions get no word vectors."""
    quiet_s: Annotated[float, Field(ge=0)] = 300.0
    """They are learnt once no corpus version has come for so long, so that they never delay a release or a demo."""
    dimensions: Annotated[int, Field(gt=0, le=4_096)] = 300
    """Width of a vector."""
    epochs: Annotated[int, Field(gt=0)] = 5
    """Passes over the text."""
    max_chars: Annotated[int, Field(gt=0)] = 7_000_000
    """Characters of training text that are looked at; more are sampled. 7 million Chinese ones, 20 MB, take a minute."""


class Settings(DaemonSettings):
    """The tokenizer-builder's settings."""

    tokenizer: TokenizerRules = TokenizerRules()
    word_vectors: WordVectorSettings = WordVectorSettings()
