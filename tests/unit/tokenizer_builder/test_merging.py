import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from services.tokenizer_builder.core.merging import Pieces
from services.tokenizer_builder.core.segmentation import counted
from shared.demo.statutes import load_statutes
from tests.unit.tokenizer_builder.statutes import ARTICLES

WORDS = counted(document.text for document in load_statutes().first[:1500]).words


class Vocabulary:
    """Names tokens as merges make them."""

    def __init__(self, alphabet):
        self.names = sorted(alphabet)
        self.ids = {name: index for index, name in enumerate(self.names)}
        self.merges = []

    def merge(self, pair):
        self.merges.append((self.names[pair[0]], self.names[pair[1]]))
        name = "".join(self.merges[-1])
        if name not in self.ids:
            self.ids[name] = len(self.names)
            self.names.append(name)
        return self.ids[name]


def learnt(counts, *, num_merges=10**6, min_count=2, max_chars=6):
    vocabulary = Vocabulary({character for piece in counts for character in piece})
    pieces = Pieces(counts, vocabulary.ids, vocabulary.names)
    pieces.learn(
        num_merges=num_merges, min_count=min_count, max_chars=max_chars, next_token=vocabulary.merge
    )  # fmt: skip
    return vocabulary, pieces


def by_hugging_face(counts, *, vocab_size):
    """Return the merges that the trainer of `tokenizers` learns from the same pieces, each as often as it counts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.CharDelimiterSplit("\n")
    # Its own limit of a token's length is not ours: it lets some tokens grow to the limit, and others only to one below.
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=2, show_progress=False)
    tokenizer.train_from_iterator(("\n".join([piece] * count) for piece, count in counts.items()), trainer)
    return [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]


def test_the_merges_are_those_of_hugging_faces_trainer():
    alphabet = {character for word in WORDS for character in word}
    expected = by_hugging_face(WORDS, vocab_size=len(alphabet) + 1200)
    vocabulary, _ = learnt(WORDS, num_merges=1200, max_chars=99)
    assert len(expected) == 1200
    assert vocabulary.merges == expected


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text("甲乙丙", min_size=1, max_size=9), st.integers(1, 5), max_size=12))
def test_each_merge_is_of_the_most_frequent_pair_and_the_tokens_are_those_of_an_encoder(counts):
    vocabulary, pieces = learnt(counts, max_chars=4)
    assert all(len(name) <= 4 for name in vocabulary.names)
    if not counts:
        return
    model = models.BPE(vocab=vocabulary.ids, merges=list(dict.fromkeys(vocabulary.merges)))
    encoder = Tokenizer(model)
    expected = sum(count * len(encoder.encode(piece)) for piece, count in counts.items())
    again = Pieces(counts, vocabulary.ids, vocabulary.names)
    again.apply(
        [((vocabulary.ids[left], vocabulary.ids[right]), vocabulary.ids[left + right]) for left, right in vocabulary.merges]
    )  # fmt: skip
    assert again.num_tokens() == expected
    assert pieces.num_tokens() == expected


def test_the_order_of_pieces_does_not_matter():
    shuffled = list(WORDS.items())
    random.Random(7).shuffle(shuffled)
    assert learnt(dict(shuffled), num_merges=400)[0].merges == learnt(WORDS, num_merges=400)[0].merges


def test_a_pair_that_is_refused_is_never_merged_and_rare_ones_are_not():
    vocabulary = Vocabulary("甲乙丙丁")
    pieces = Pieces({"甲乙": 9, "丙丁": 5, "甲丁": 1}, vocabulary.ids, vocabulary.names)

    def merge(pair):
        return None if vocabulary.names[pair[0]] == "甲" else vocabulary.merge(pair)

    found = pieces.learn(num_merges=9, min_count=2, max_chars=9, next_token=merge)
    assert [(one.count, vocabulary.names[one.token]) for one in found] == [(5, "丙丁")]


def test_characters_outside_the_alphabet_end_a_piece():
    vocabulary = Vocabulary("甲乙")
    pieces = Pieces({"甲丙乙": 3, "甲乙": 1}, vocabulary.ids, vocabulary.names)
    assert pieces.num_tokens() == 8
    pieces.learn(num_merges=1, min_count=1, max_chars=2, next_token=vocabulary.merge)
    assert pieces.num_tokens() == 7


@pytest.mark.parametrize("run", ["甲甲甲", "甲甲甲甲", "甲甲甲甲甲"])
def test_a_doubled_character_is_merged_from_the_left(run):
    vocabulary = Vocabulary("甲")
    pieces = Pieces({run: 2}, vocabulary.ids, vocabulary.names)
    pieces.learn(num_merges=1, min_count=1, max_chars=2, next_token=vocabulary.merge)
    assert pieces.num_tokens() == 2 * (len(run) // 2 + len(run) % 2)


def test_text_without_a_frequent_pair_gives_no_merge():
    assert learnt({})[0].merges == []
    assert learnt(dict.fromkeys(ARTICLES[0], 1))[0].merges == []
