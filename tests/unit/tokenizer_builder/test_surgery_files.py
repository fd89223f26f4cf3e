"""A folder that `transformers` wrote, cut, and read by `transformers` again."""

import json

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.tokenizer_builder.core.surgery import UncuttableVocabulary
from services.tokenizer_builder.surgery_files import MODEL_TYPES, CutReport, cut_model, read_json
from tests.unit.tokenizer_builder.general_model import END, PADDING, SHAPES, START, TEXTS, byte_level, save

CORPUS, HELD_OUT = TEXTS[::2], TEXTS[1::2]


def logits_of(folder, ids):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_a_cut_model_says_of_kept_tokens_what_the_original_says(tmp_path, kind):
    old = save(tmp_path / "old", kind)
    report = cut_model(tmp_path / "old", tmp_path / "new", CORPUS, HELD_OUT, coverage=0.97)
    kept = read_json(tmp_path / "new" / "kept_ids.json")
    new = AutoTokenizer.from_pretrained(tmp_path / "new")
    compared = 0
    for text in TEXTS:
        ids = old.encode(text, add_special_tokens=False).ids
        if not set(ids) <= set(kept):
            continue
        new_ids = new.encode(text, add_special_tokens=False)
        assert [kept[index] for index in new_ids] == ids
        before, after = logits_of(tmp_path / "old", ids), logits_of(tmp_path / "new", new_ids)
        assert after.shape[1] == len(kept) == report.vocab_after
        torch.testing.assert_close(after, before[:, kept], rtol=1e-5, atol=1e-6)
        compared += 1
        if compared == 3:
            break
    assert compared == 3


def test_every_kind_that_is_offered_was_tried():
    assert set(SHAPES) == set(MODEL_TYPES)


def test_the_report_counts_what_was_saved_and_what_it_costs(tmp_path):
    old = save(tmp_path / "old", "llama", byte_level(ignore_merges=True))
    report = cut_model(tmp_path / "old", tmp_path / "new", CORPUS, HELD_OUT, coverage=0.9)
    assert CutReport.model_validate(read_json(tmp_path / "new" / "vocabulary_cut.json")) == report
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("old", "new")]
    assert [report.parameters_before, report.parameters_after] == [model.num_parameters() for model in models]
    assert report.vocab_before == old.get_vocab_size(with_added_tokens=True)
    assert report.embedding_before == 2 * 32 * (report.vocab_before + PADDING)
    assert report.embedding_after == 2 * 32 * report.vocab_after
    assert report.embedding_saved == pytest.approx(1 - report.vocab_after / (report.vocab_before + PADDING))
    assert report.coverage >= 0.9
    assert report.coverage_held_out is not None
    assert 0.5 < report.coverage_held_out <= 1.0
    assert report.tokens_per_char_after >= report.tokens_per_char_before > 0
    assert report.round_trip_after == report.round_trip_before == 1.0
    assert report.num_chars == sum(map(len, TEXTS))


def test_shards_of_half_precision_are_cut_one_by_one_and_everything_else_stays_bit_for_bit(tmp_path):
    save(tmp_path / "old", "qwen2", shard_size="20KB", dtype=torch.bfloat16)
    assert len(list((tmp_path / "old").glob("*.safetensors"))) > 2
    (tmp_path / "old" / "merges.txt").write_text("a b\n")
    (tmp_path / "old" / "LICENSE").write_text("as it was")
    cut_model(tmp_path / "old", tmp_path / "new", CORPUS, coverage=0.9)
    kept = read_json(tmp_path / "new" / "kept_ids.json")
    index = read_json(tmp_path / "new" / "model.safetensors.index.json")
    assert index["weight_map"] == read_json(tmp_path / "old" / "model.safetensors.index.json")["weight_map"]
    num_bytes = 0
    for name, shard in index["weight_map"].items():
        before, after = (tensor_of(tmp_path / folder / shard, name) for folder in ("old", "new"))
        expected = before[kept] if name.endswith("embed_tokens.weight") else before
        assert after.dtype == torch.bfloat16
        assert torch.equal(after, expected), name
        num_bytes += after.numel() * 2
    assert index["metadata"]["total_size"] == num_bytes
    assert not (tmp_path / "new" / "merges.txt").exists()
    assert (tmp_path / "new" / "LICENSE").read_text() == "as it was"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "new").config.vocab_size == len(kept)


def tensor_of(path, name):
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)


def test_configurations_name_the_new_ids(tmp_path):
    save(tmp_path / "old")
    cut_model(tmp_path / "old", tmp_path / "new", CORPUS, coverage=0.9)
    new = AutoTokenizer.from_pretrained(tmp_path / "new")
    end, start = new.convert_tokens_to_ids([END, START])
    config, generation = (read_json(tmp_path / "new" / name) for name in ("config.json", "generation_config.json"))
    assert (config["eos_token_id"], config["bos_token_id"]) == (end, end)
    assert generation["eos_token_id"] == [end, start]
    assert generation["max_new_tokens"] == 300
    assert new.eos_token_id == end
    decoder = read_json(tmp_path / "new" / "tokenizer_config.json")["added_tokens_decoder"]
    assert decoder[str(end)]["content"] == END
    ids = new(f"{START}民法", return_tensors="pt").input_ids
    generated = AutoModelForCausalLM.from_pretrained(tmp_path / "new").generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=4, pad_token_id=end, do_sample=False
    )
    assert generated.shape[1] > ids.shape[1]


def test_the_same_cut_gives_the_same_bytes(tmp_path):
    save(tmp_path / "old")
    for name in ("one", "two"):
        cut_model(tmp_path / "old", tmp_path / name, CORPUS, coverage=0.9)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


@pytest.fixture
def model(tmp_path):
    save(tmp_path / "old")
    return tmp_path / "old"


def changed(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def refusal(model, output):
    with pytest.raises(UncuttableVocabulary) as refused:
        cut_model(model, output, CORPUS, coverage=0.9)
    assert refused.value.next_step
    return str(refused.value)


def test_a_model_of_an_unknown_type_is_refused_and_nothing_is_written(model, tmp_path):
    changed(model / "config.json", model_type="bert")
    assert "models of type bert cannot be cut" in refusal(model, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


def test_a_quantised_model_is_refused(model, tmp_path):
    changed(model / "config.json", quantization_config={"quant_method": "gptq"})
    assert "quantised" in refusal(model, tmp_path / "new")


def test_a_folder_without_safetensors_is_refused(model, tmp_path):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    assert "lacks model.safetensors" in refusal(model, tmp_path / "new")


def test_an_index_that_points_out_of_the_folder_is_refused(model, tmp_path):
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../old/model.safetensors"}}))
    assert "lacks ../old/model.safetensors" in refusal(model, tmp_path / "new")


def test_a_folder_without_a_tokenizer_is_refused(model, tmp_path):
    (model / "tokenizer.json").unlink()
    assert "tokenizer.json does not exist" in refusal(model, tmp_path / "new")


def test_damaged_files_are_refused(model, tmp_path):
    weights = (model / "model.safetensors").read_bytes()
    for damaged in (b"", b"PK\x03\x04" + bytes(40), weights[:4], weights[:100], weights[: len(weights) // 2]):
        (model / "model.safetensors").write_bytes(damaged)
        assert "no complete safetensors file" in refusal(model, tmp_path / "new")
        assert not (tmp_path / "new").exists()
    (model / "tokenizer.json").write_text("{")
    assert "is not JSON" in refusal(model, tmp_path / "new")


def test_a_tokenizer_of_another_model_is_refused(model, tmp_path):
    byte_level(900).save(str(model / "tokenizer.json"))
    changed(model / "config.json", eos_token_id=None, bos_token_id=None)
    (model / "generation_config.json").unlink()
    assert "rows, the tokenizer has the id" in refusal(model, tmp_path / "new")


def test_weights_without_a_known_embedding_are_refused(model, tmp_path):
    data = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(data.replace(b"embed_tokens", b"embed_t0kens"))
    assert "no embedding under a known name" in refusal(model, tmp_path / "new")


def test_a_folder_that_holds_something_is_not_written_over(model, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    assert "is not empty" in refusal(model, tmp_path / "new")
    assert (tmp_path / "new" / "mine.txt").read_text() == "mine"
