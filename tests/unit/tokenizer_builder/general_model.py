"""Small general models with fresh weights, and byte-level tokenizers such as Qwen2's and Llama 3's, trained on real articles."""

import json

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM

from tests.unit.tokenizer_builder.statutes import ARTICLES
from tests.unit.trainer.world import ARTICLES as LABELLED

TEXTS = (*ARTICLES, *(text for texts in LABELLED.values() for text in texts))
ENGLISH = ("The contract shall be governed by the laws of the State.", "Neither party may assign this agreement.") * 4
PADDING = 13
"""Rows beyond the tokenizer's, as Qwen2 has them."""
END, START = "<|endoftext|>", "<|im_start|>"
PIECES = r"\p{N}|[^\r\n\p{L}\p{N}]?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"

SHAPES = {
    "llama": {"num_key_value_heads": 2, "tie_word_embeddings": False},
    "mistral": {"num_key_value_heads": 2, "tie_word_embeddings": False, "head_dim": 8},
    "qwen2": {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen3": {"num_key_value_heads": 2, "tie_word_embeddings": True, "head_dim": 8},
    "olmo2": {"num_key_value_heads": 2, "tie_word_embeddings": False},
    "gpt_neox": {"tie_word_embeddings": False},
    "gpt2": {},
}


def byte_level(vocab_size=700, *, ignore_merges=False, texts=TEXTS + ENGLISH):
    """Return a tokenizer as Qwen2's (or, with `ignore_merges`, Llama 3's) is."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(PIECES), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([END, START])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
    if ignore_merges:
        special = [(START, tokenizer.token_to_id(START))]
        template = processors.TemplateProcessing(single=f"{START} $A", special_tokens=special)
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def save(folder, kind="qwen2", tokenizer=None, *, shard_size="5GB", dtype=torch.float32):
    """Write a model's folder as `save_pretrained` does; return the tokenizer."""
    tokenizer = tokenizer or byte_level()
    end = tokenizer.token_to_id(END)
    config = AutoConfig.for_model(
        kind,
        vocab_size=tokenizer.get_vocab_size(with_added_tokens=True) + PADDING,
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256,
        bos_token_id=end, eos_token_id=end, pad_token_id=None, **SHAPES[kind],
    )  # fmt: skip
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(config).to(dtype)
    model.generation_config.eos_token_id = [end, tokenizer.token_to_id(START)]
    model.generation_config.max_new_tokens = 300
    model.save_pretrained(folder, max_shard_size=shard_size)
    tokenizer.save(str(folder / "tokenizer.json"))
    added = {
        str(index): {"content": token.content, "special": token.special, "lstrip": False, "rstrip": False,
                     "normalized": False, "single_word": False}
        for index, token in tokenizer.get_added_tokens_decoder().items()
    }  # fmt: skip
    settings = {"added_tokens_decoder": added, "eos_token": END, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer
