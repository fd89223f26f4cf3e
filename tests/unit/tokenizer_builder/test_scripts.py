"""Scripts other than Han: their words are the pieces of the tokenizer's own expression, and merges are learnt from them."""

from collections import Counter
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.recipe import Sizes, build
from services.tokenizer_builder.core.scripts import ASCII_WORD, SPLIT, syllables, words_beside_han
from services.tokenizer_builder.core.segmentation import counted
from shared.demo.statutes import load_statutes

STATUTES = [document.text for document in load_statutes().first[:600]]
SENTENCES = {
    "Russian": (
        "Все равны перед законом и судом.",
        "Каждый имеет право на свободу и личную неприкосновенность.",
        "Каждый имеет право на судебную защиту, и перед судом все равны.",
    ),
    "Greek": (
        "Όλοι είναι ίσοι ενώπιον του νόμου.",
        "Ο νόμος προστατεύει τα δικαιώματα όλων.",
        "Τα δικαιώματα είναι ίσα ενώπιον του νόμου.",
    ),
    "French": (
        "Les hommes naissent et demeurent libres et égaux en droits.",
        "La liberté de chacun est protégée par la loi.",
        "Devant la loi, tous sont égaux, et la liberté est protégée.",
    ),
    "Japanese": (
        "すべて国民は、法の下に平等であるものとする。",
        "契約は、当事者の合意によって成立するものとする。",
        "当事者は、契約によって平等であるものとする。",
    ),
    "Korean": (
        "모든 국민은 법 앞에 평등하다.",
        "계약은 당사자의 합의로 성립한다.",
        "모든 당사자는 계약 앞에 평등하다.",
    ),
    "Uighur": (
        "قانون ئالدىدا ھەممە ئادەم باراۋەر.",
        "شەرتنامە تەرەپلەرنىڭ كېلىشىمى بىلەن تۈزۈلىدۇ.",
        "قانون ئالدىدا تەرەپلەر باراۋەر.",
    ),
    "Tibetan": (
        "ཁྲིམས་ཀྱི་མདུན་ན་མི་ཚང་མ་འདྲ་མཉམ་ཡིན།",
        "གན་རྒྱ་ནི་ཕྱོགས་གཉིས་ཀྱི་གྲོས་མཐུན་ལས་གྲུབ།",
        "ཁྲིམས་ཀྱི་མདུན་ན་ཕྱོགས་གཉིས་འདྲ་མཉམ་ཡིན།",
    ),
    "Mongolian": (
        "ᠬᠠᠤᠯᠢ ᠶᠢᠨ ᠡᠮᠦᠨ᠎ᠡ ᠬᠦᠮᠦᠨ ᠪᠦᠷ ᠲᠡᠭᠰᠢ ᠡᠷᠬᠡ ᠲᠡᠢ᠃",
        "ᠭᠡᠷ᠎ᠡ ᠶᠢ ᠬᠣᠶᠠᠷ ᠲᠠᠯ᠎ᠠ ᠪᠠᠢᠭᠤᠯᠤᠨ᠎ᠠ᠃",
        "ᠬᠠᠤᠯᠢ ᠶᠢᠨ ᠡᠮᠦᠨ᠎ᠡ ᠬᠣᠶᠠᠷ ᠲᠠᠯ᠎ᠠ ᠲᠡᠭᠰᠢ᠃",
    ),
    "Hindi": (
        "सभी व्यक्ति विधि के समक्ष समान हैं।",
        "संविदा पक्षकारों की सहमति से होती है।",
        "सभी पक्षकार विधि के समक्ष समान हैं।",
    ),
}
"""Three sentences of law of each; the third one says in other order what the first two say."""
CHARACTERS = st.sampled_from("法律，。 aAbéЯяαかなー가กิअे་བོᠮ᠎ᠡ0１²-.\n\u0301\u202f")


def corpus(name: str) -> list[str]:
    first, second, _ = SENTENCES[name]
    return [*STATUTES, *[f"{first}\n{second}", f"{second} {first}", f"第一条{first}"] * 8]


@pytest.mark.parametrize("name", SENTENCES)
def test_a_script_that_a_corpus_holds_is_not_read_a_character_at_a_time(name):
    counts = counted(corpus(name))
    for tokenizer in (
        build(counts, [], {}, Sizes(vocab_size=4000)).tokenizer,
        bpe.train(corpus(name), vocab_size=4000, max_token_chars=6),
    ):
        text = SENTENCES[name][2]
        encoding = tokenizer.encode(text, add_special_tokens=False)
        assert len(encoding.ids) < 0.6 * len(text), encoding.tokens
        assert tokenizer.decode(encoding.ids) == text
        longest = max((token for token in tokenizer.get_vocab() if token not in bpe.BYTE_TOKENS), key=len)
        assert len(longest) <= 8, "as Han"


@settings(deadline=None, max_examples=300)
@given(st.lists(CHARACTERS, max_size=25).map("".join))
def test_words_are_pieces_of_the_tokenizers_own_expression(text):
    pieces = Counter(piece for piece, _ in SPLIT.pre_tokenize_str(text))
    assert "".join(piece for piece, _ in SPLIT.pre_tokenize_str(text)) == text
    words = Counter(words_beside_han(text))
    if not text.isascii():
        # Between Han characters words are looked for alone; digits that are not ASCII are seen there only beside other letters.
        words = Counter({word: count for word, count in words.items() if not word.isascii()})
    assert words <= pieces


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from(["a", "ab", "Na", "Take", "CRISPR", "TP53", "-", " ", "4", ".", "\n"]), max_size=12).map(
        "".join
    )
)
def test_both_ways_to_find_words_agree_on_ascii(text):
    found = [word for word in words_beside_han(f"{text}。é") if word.isascii()]
    assert found == ASCII_WORD.findall(text)


def test_text_without_other_scripts_has_its_latin_words_only():
    assert counted(STATUTES).others == Counter(chain.from_iterable(map(ASCII_WORD.findall, STATUTES)))


def test_a_word_keeps_the_blank_before_it_its_vowel_signs_and_joiners_and_ends_at_digits_and_capitals():
    found = counted(["все равны, Аa 5мг МГ δδ", "法 すべて国民は", "བོད་ཡིག་", "ᠡᠮᠦᠨ᠎ᠡ", "हिन्दी", "Na и é"]).others
    assert found == Counter(["все", " равны", " δδ", " すべて", "བོད་ཡིག་", "ᠡᠮᠦᠨ᠎ᠡ", "हिन्दी"])
    assert syllables("བོད་ཡིག་") == ["བོད་", "ཡིག་"]
    assert syllables(" равны") == [" равны"]
