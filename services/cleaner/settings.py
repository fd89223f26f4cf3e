"""What the cleaner is told, from `PLUMBLINE_*`; the rules as PLUMBLINE_CORPUS__QUIET_S, PLUMBLINE_CLEANING__MARKUP and so on."""

from typing import Annotated

from pydantic import DirectoryPath, Field

from contracts.corpus import MAX_TEXT_CHARS
from shared.settings import DaemonSettings, Group, OperatorSettings, OperatorVerifyingSettings


class CorpusRules(Group):
    """When a corpus version is cut without being asked for."""

    min_new_documents: Annotated[int, Field(ge=1)] = 1_000
    """New documents that make a version worth a training."""
    max_wait_s: Annotated[float, Field(gt=0)] = 7 * 24 * 3600.0
    """New documents wait so long for others at most; then there is a version of however few there are."""
    quiet_s: Annotated[float, Field(ge=0)] = 5.0
    """Seconds without a batch or a request before a cut, so that what belongs together lies in one version."""
    request_patience_s: Annotated[float, Field(ge=0)] = 600.0
    """A request for a training waits so long for batches that do not come; then a version is cut of what there is."""


class CleaningRules(Group):
    """What is done to every document before it gets into a corpus, step by step, and what is no document at all."""

    mojibake: bool = True
    """Repairs UTF-8 that was read as Latin-1, cp1252 or GBK, where that is certain."""
    invisible: bool = True
    """Removes control, zero-width and other invisible characters; all line breaks become line feeds."""
    width: bool = True
    """Folds full-width letters and digits, radicals and compatibility ideographs, and composes (NFC). Never NFKC."""
    markup: bool = True
    """Removes HTML, character references and the leftovers of Markdown."""
    spaces: bool = True
    """Tightens white space."""
    symbols: bool = True
    """Cuts runs of one symbol."""
    max_repeats: Annotated[int, Field(ge=3, le=100)] = 3
    """A symbol stands at most so often in a row."""
    simplified: bool = False
    """Turns traditional characters into simplified ones. Off: names and quotations may be traditional on purpose."""
    boilerplate: bool = True
    """Drops lines of menus, buttons, page numbers, copyright and registration notices."""
    typo_terms: DirectoryPath | None = None
    """A folder of lists, `DOMAIN.txt` each, a term a line; slips of these terms are corrected. Else off."""
    personal_data: bool = True
    """Masks identity, telephone and bank card numbers."""
    email: bool = False
    """Masks e-mail addresses too; those in laws and guidelines are mostly an authority's."""
    quality: bool = True
    """Measures every document, and rejects one that is beyond a limit below."""
    max_characters: Annotated[int, Field(ge=1, le=MAX_TEXT_CHARS)] = 50_000
    """A cleaned text that is longer is rejected."""
    max_broken_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Share of characters that stand for lost ones: replacement characters, 锟斤拷, 烫烫烫."""
    max_symbol_share: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Share of what is neither letter, number nor white space."""
    max_top_character_share: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Share of the most frequent character."""
    max_repeated_share: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Share of the pieces of eight characters that came before in the text."""
    relevance_models: DirectoryPath | None = None
    """A folder of models of `plumb relevance fit`, `DOMAIN.relevance` each; what is far from its domain is rejected. Else off."""


class Settings(DaemonSettings, OperatorVerifyingSettings, OperatorSettings):
    """The cleaner's settings."""

    corpus: CorpusRules = CorpusRules()
    cleaning: CleaningRules = CleaningRules()
    tick_s: Annotated[float, Field(gt=0)] = 0.5
    """How often is looked whether a version is due."""
