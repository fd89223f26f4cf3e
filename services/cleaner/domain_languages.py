"""What is known of domains' languages, from the folders that the settings name. Read once, when the cleaner starts.

Neither is ever fitted by the cleaner itself: the same batches give the same corpus as long as the files stay the same.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from services.cleaner.core.cleaning import DomainLanguage
from services.cleaner.settings import CleaningRules
from shared.errors import PermanentError
from shared.relevance.counts import CountsRefused
from shared.relevance.model import RelevanceModel
from shared.term_lists import terms_in

if TYPE_CHECKING:
    from services.cleaner.core.typos.corrector import TypoCorrector

MODEL_SUFFIX = ".relevance"
TERMS_SUFFIX = ".txt"

log = logging.getLogger(__name__)


class LanguageRefused(PermanentError):
    """A file about a domain's language cannot be used; the cleaner does not start."""


def load_languages(rules: CleaningRules) -> dict[str, DomainLanguage]:
    """Return what the folders of the rules hold, by domain.

    Raises:
        LanguageRefused: A file is no relevance model, or no list of terms in UTF-8 that has one to correct by.
    """
    models = dict(_files(rules.relevance_models, MODEL_SUFFIX))
    terms = dict(_files(rules.typo_terms, TERMS_SUFFIX))
    languages = {}
    for domain in sorted({*models, *terms}):
        languages[domain] = DomainLanguage(
            typos=_corrector(terms[domain]) if domain in terms else None,
            relevance=_model(models[domain]) if domain in models else None,
        )
        extra = {"domain": domain, "relevance": domain in models, "typos": domain in terms}
        log.info("the language of a domain is known", extra=extra)
    return languages


def _files(folder: Path | None, suffix: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()) if folder else ():
        if path.suffix == suffix:
            yield path.stem, path


def _model(path: Path) -> RelevanceModel:
    try:
        return RelevanceModel.from_bytes(path.read_bytes())
    except CountsRefused as error:
        msg = f"{path}: {error}"
        raise LanguageRefused(msg, next_step="write it anew with `plumb relevance fit`") from error


def _corrector(path: Path) -> "TypoCorrector":
    # Imported here, since the dictionaries are loaded with them.
    from services.cleaner.character_shapes import load_shapes  # noqa: PLC0415
    from services.cleaner.core.typos.corrector import TypoCorrector, TypoRules  # noqa: PLC0415

    try:
        terms = terms_in(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8"
        raise LanguageRefused(msg, next_step="save it as UTF-8, a term a line") from error
    corrector = TypoCorrector(terms, TypoRules(shapes=load_shapes()))
    if not corrector.num_terms:
        msg = f"{path} holds no term of 3 to 16 Chinese characters; shorter ones are no anchors"
        raise LanguageRefused(msg, next_step="list terms, one a line, or remove the file")
    return corrector
