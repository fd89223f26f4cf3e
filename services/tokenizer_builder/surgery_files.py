"""A general model's folder in, one with the domain's vocabulary out, in the layout that `transformers` reads and writes."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.tokenizer_builder.core import surgery
from services.tokenizer_builder.core.surgery import Cut, Json, UncuttableVocabulary
from services.tokenizer_builder.safetensors_rows import Tensors, read_header, write_cut
from shared.vocabulary_cut import CutReport

CONFIG, GENERATION = "config.json", "generation_config.json"
TOKENIZER, TOKENIZER_CONFIG, ADDED_TOKENS = "tokenizer.json", "tokenizer_config.json", "added_tokens.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
REPORT, KEPT = "vocabulary_cut.json", "kept_ids.json"
AS_THEY_ARE = (
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "LICENSE",
    "LICENSE.txt",
    "NOTICE",
)
"""Further files that stay right. `vocab.json` and `merges.txt` would not, and `tokenizer.json` says what they say."""

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3", "olmo2", "gpt_neox", "gpt2")
"""Those whose cut was compared with the original, logit by logit."""
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight")
HEADS = ("lm_head.weight", "lm_head.bias", "embed_out.weight")
"""How these architectures call what has a row a token."""


def cut_model(
    model: Path, output: Path, corpus: Sequence[str], held_out: Sequence[str] = (), *, coverage: float
) -> CutReport:
    """Write the model with the vocabulary that a domain's text needs, and return what that saved.

    Args:
        model: A folder with `config.json`, `tokenizer.json` and safetensors, in one file or in shards.
        output: Where the cut model goes; absent or empty. It is whole or absent afterwards.
        corpus: The domain's documents, on which tokens are counted.
        held_out: More of them, on which nothing is chosen.
        coverage: Share of token occurrences that must stay whole, 0 to 1.

    Raises:
        UncuttableVocabulary: Model or tokenizer are of a kind that cannot be cut, or a file is absent or damaged.
    """
    config, values = _config(model), read_json(model / TOKENIZER)
    surgery.check(values)
    tensors = _tensors(model)
    names = _cut_names(tensors, config)
    before = surgery.tokenizer_of(values)
    counts = surgery.count(before, corpus)
    cut = surgery.choose(values, counts, coverage=coverage, named=_named(model, config))
    _check_rows(tensors, names, cut)
    kept = surgery.cut_tokenizer(values, cut)
    after = surgery.tokenizer_of(kept)
    measured = held_out or corpus
    old_fit, new_fit = surgery.fit(before, measured), surgery.fit(after, measured)
    report = CutReport(
        model_type=config["model_type"],
        vocab_before=cut.num_old,
        vocab_after=len(cut.old_ids),
        **_sizes(tensors, names, len(cut.old_ids)),
        coverage_wanted=coverage,
        coverage=surgery.coverage_of(counts, cut),
        coverage_held_out=surgery.coverage_of(surgery.count(before, held_out), cut) if held_out else None,
        tokens_per_char_before=old_fit.tokens_per_char,
        tokens_per_char_after=new_fit.tokens_per_char,
        round_trip_before=old_fit.round_trip,
        round_trip_after=new_fit.round_trip,
        num_chars=sum(map(len, corpus)) + sum(map(len, held_out)),
        num_chars_held_out=sum(map(len, held_out)),
    )
    with _whole_or_absent(output) as folder:
        _write(model, folder, cut, config, kept)
        _write_weights(model, folder, tensors, names, cut)
        write_json(folder / KEPT, list(cut.old_ids))
        write_json(folder / REPORT, report.model_dump())
    return report


def read_json(path: Path) -> Json:
    """Return what a file of a model says.

    Raises:
        UncuttableVocabulary: It is absent or no JSON.
    """
    try:
        value: Json = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _refused(f"{path} does not exist", "give the folder of a model with its tokenizer.json") from error
    except ValueError as error:
        raise _refused(f"{path} is not JSON ({error})", "fetch the model again") from error
    return value


def write_json(path: Path, value: object) -> None:
    """Write readable JSON; equal values give equal bytes."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _config(model: Path) -> Json:
    config = read_json(model / CONFIG)
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        raise _refused(f"models of type {kind} cannot be cut", f"those of type {', '.join(MODEL_TYPES)} can")
    return config


def _named(model: Path, config: Json) -> set[int]:
    generation = model / GENERATION
    return surgery.named_ids(config) | (surgery.named_ids(read_json(generation)) if generation.exists() else set())


def _tensors(model: Path) -> list[Tensors]:
    is_sharded = (model / INDEX).exists()
    shards = sorted(set(read_json(model / INDEX)["weight_map"].values())) if is_sharded else [WEIGHTS]
    missing = [shard for shard in shards if Path(shard).name != shard or not (model / shard).is_file()]
    if missing:
        raise _refused(f"{model} lacks {', '.join(missing)}", "only weights as safetensors are read")
    return [read_header(model / shard) for shard in shards]


def _cut_names(tensors: Sequence[Tensors], config: Json) -> tuple[str, ...]:
    names = [name for shard in tensors for name in shard.entries if name.endswith(EMBEDDINGS + HEADS)]
    if not any(name.endswith(EMBEDDINGS) for name in names):
        raise _refused("its weights hold no embedding under a known name", "is it a language model's folder?")
    if "quantization_config" in config:
        raise _refused("its weights are quantised", "cut the model before it is quantised")
    return tuple(names)


def _check_rows(tensors: Sequence[Tensors], names: Sequence[str], cut: Cut) -> None:
    for shard in tensors:
        for name in shard.entries.keys() & set(names):
            if shard.shape(name)[0] <= cut.old_ids[-1]:
                raise _refused(
                    f"{name} has {shard.shape(name)[0]:,} rows, the tokenizer has the id {cut.old_ids[-1]:,}",
                    "the tokenizer is another model's",
                )


def _sizes(tensors: Sequence[Tensors], names: Sequence[str], num_rows: int) -> dict[str, Any]:
    total = sum(shard.num_elements(name) for shard in tensors for name in shard.entries)
    embedding = sum(shard.num_elements(name) for shard in tensors for name in shard.entries if name in names)
    after = sum(
        shard.num_elements(name) // shard.shape(name)[0] * num_rows
        for shard in tensors
        for name in shard.entries
        if name in names
    )
    return {
        "parameters_before": total,
        "parameters_after": total - embedding + after,
        "embedding_before": embedding,
        "embedding_after": after,
        "embedding_saved": 1.0 - after / embedding,
    }


def _write(model: Path, folder: Path, cut: Cut, config: Json, tokenizer: Json) -> None:
    write_json(folder / CONFIG, surgery.cut_config(config, cut))
    write_json(folder / TOKENIZER, tokenizer)
    if (model / GENERATION).exists():
        write_json(folder / GENERATION, surgery.cut_config(read_json(model / GENERATION), cut))
    if (model / TOKENIZER_CONFIG).exists():
        write_json(folder / TOKENIZER_CONFIG, surgery.cut_tokenizer_config(read_json(model / TOKENIZER_CONFIG), cut))
    if (model / ADDED_TOKENS).exists():
        added = read_json(model / ADDED_TOKENS)
        write_json(folder / ADDED_TOKENS, {token: cut.new_id(index) for token, index in added.items()})
    for name in AS_THEY_ARE:
        if (model / name).is_file():
            shutil.copyfile(model / name, folder / name)


def _write_weights(model: Path, folder: Path, tensors: Sequence[Tensors], names: Sequence[str], cut: Cut) -> None:
    for shard in tensors:
        write_cut(shard, folder / shard.path.name, cut.old_ids, names)
    if (model / INDEX).exists():
        index = read_json(model / INDEX)
        written = [read_header(folder / shard.path.name) for shard in tensors]
        ends = [max((entry["data_offsets"][1] for entry in shard.entries.values()), default=0) for shard in written]
        index["metadata"] = {**index.get("metadata", {}), "total_size": sum(ends)}
        write_json(folder / INDEX, index)


@contextmanager
def _whole_or_absent(output: Path) -> Iterator[Path]:
    """Yield a folder that takes the place of `output` once it is complete."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise _refused(f"{output} is not empty", "name a folder that is absent or empty")
    unfinished = output.with_name(f".{output.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        if output.exists():
            output.rmdir()
        unfinished.rename(output)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _refused(reason: str, next_step: str) -> UncuttableVocabulary:
    return UncuttableVocabulary(f"the vocabulary cannot be cut: {reason}", next_step=next_step)
