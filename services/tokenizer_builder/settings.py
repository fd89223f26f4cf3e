"""What the tokenizer-builder is told, from `PLUMBLINE_*`; the rules as PLUMBLINE_TOKENIZER__VOCAB_SIZE and so on."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from shared.settings import DaemonSettings, Group, OperatorSettings

Share = Annotated[float, Field(ge=0, le=1)]


class TokenizerRules(Group):
    """How a tokenizer is built, and when the serving one is kept, extended or rebuilt."""

    vocab_size: Annotated[int, Field(ge=512, le=65_536)] = 22_528
    """Tokens at most, special and byte tokens included; small corpora stay below it, and extensions may go a little beyond it."""
    small_vocab_size: Annotated[int, Field(ge=512, le=65_536)] = 6_000
    """Tokens at most of a small corpus: a model's embedding is as large as its vocabulary, and a small one cannot fill it."""
    chars_per_token: Annotated[int, Field(gt=0)] = 450
    """A corpus may have more tokens than a small one, one for so many characters of different training texts."""
    core_size: Annotated[int, Field(ge=512, le=65_536)] = 8_000
    """The first so many tokens are called the core: characters and the most frequent words and terms."""
    max_word_chars: Annotated[int, Field(ge=1, le=64)] = 8
    """Longest token that merges inside words make; terms of the lexicon may be longer."""
    max_token_chars: Annotated[int, Field(ge=1, le=64)] = 6
    """Longest token that merges without a segmenter make; without a limit whole clauses of a template become one."""
    max_build_chars: Annotated[int, Field(gt=0)] = 10_500_000
    """Characters of training text that a build looks at; more are sampled. Chinese has three bytes a character."""
    max_screen_chars: Annotated[int, Field(gt=0)] = 1_000_000
    """Characters of training text in which is looked what a term would cut in two."""
    max_measure_chars: Annotated[int, Field(gt=0)] = 1_000_000
    """Characters of old and of new text on which coverage and fertility are measured."""
    min_judged_chars: Annotated[int, Field(gt=0)] = 20_000
    """New text that is shorter is judged with a sample of the text before, so many characters together: in a few lines one rare
    character is a percent."""
    max_report_chars: Annotated[int, Field(gt=0)] = 300_000
    """Characters of held-out text that the report is about."""
    min_coverage: Share = 0.995
    """The serving tokenizer is kept while it covers at least this share of the new text's characters,"""
    max_fertility_rise: Annotated[float, Field(ge=0)] = 0.10
    """and while its tokens per character on the new text are at most this share above those on the text before."""
    min_rebuild_gain: Share = 0.03
    """Where it does not fit, it is rebuilt if that saves at least this share of the new text's tokens, an extension much less; or
    if it brings the coverage half way to its limit at hardly any more tokens."""
    min_extension_gain: Share = 0.03
    """Mined terms of the new text extend it if they save at least this share of its tokens; terms of users always do."""
    max_extension_terms: Annotated[int, Field(ge=0)] = 1_000
    """Terms that one extension appends, and tokens that all extensions of a tokenizer together may bring beyond the largest size
    of a new one."""


class WordVectorSettings(Group):
    """Whether, when and how the word vectors of corpus versions are learnt."""

    enabled: bool = True
    """Off: corpus versions get no word vectors."""
    quiet_s: Annotated[float, Field(ge=0)] = 300.0
    """They are learnt once no corpus version has come for so long, so that they never delay a release or a demo."""
    max_wait_s: Annotated[float, Field(ge=0)] = 3_600.0
    """Where versions of whatever domain come more often than that, a domain's newest is learnt after so long all the same."""
    dimensions: Annotated[int, Field(gt=0, le=4_096)] = 300
    """Width of a vector."""
    epochs: Annotated[int, Field(gt=0)] = 5
    """Passes over the text."""
    max_chars: Annotated[int, Field(gt=0)] = 7_000_000
    """Characters of training text that are looked at; more are sampled. 7 million Chinese ones, 20 MB, take a minute."""


class LexiconRules(Group):
    """How terms are mined, and what becomes of them."""

    mine: bool = True
    """Off: only terms of users are in the lexicon."""
    max_mine_chars: Annotated[int, Field(gt=0)] = 20_000_000
    """Characters of training text in which terms are looked for; more are sampled."""
    min_count: Annotated[int, Field(ge=2)] = 5
    """A mined term occurs so often at least,"""
    min_count_per_million: Annotated[int, Field(ge=0)] = 2
    """and so often in a million Han characters."""
    min_cohesion: Share = 0.2
    """Normalised mutual information of its parts at its weakest joint."""
    min_freedom: Share = 0.5
    """1 - exp(-H), H the smaller entropy in nats of what stands before and after it."""
    min_contrast: Annotated[float, Field(ge=0)] = 8.0
    """So many times as frequent as in general text, else it is filtered as a general word: as given for a word whose spread over
    the corpus's labels, or else groups, is 0.2 beyond that of ordinary words. One in all of them needs more, in few less."""
    accept_score: Share = 0.45
    """Cohesion by freedom from which a mined term is accepted; below it waits for a person."""
    max_shown: Annotated[int, Field(ge=0)] = 2_000
    """Proposed terms that a version of the lexicon lists, and filtered ones."""
    general_text: Path | None = None
    """A file of general text, UTF-8, to contrast with; none: only the general word frequencies of the segmenter's dictionary."""


class Settings(DaemonSettings, OperatorSettings):
    """The tokenizer-builder's settings."""

    tokenizer: TokenizerRules = TokenizerRules()
    """How a tokenizer is built, measured and judged."""
    lexicon: LexiconRules = LexiconRules()
    """How terms are mined."""
    word_vectors: WordVectorSettings = WordVectorSettings()
