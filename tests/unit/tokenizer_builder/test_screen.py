import rjieba

from services.tokenizer_builder.core.screen import Finder, Overlap, overlaps
from services.tokenizer_builder.core.segmentation import is_general


def test_terms_are_found_from_the_left_the_longest_first():
    finder = Finder(["专利", "专利权", "权人"])
    assert finder.places("保护专利权人的专利") == [(1, 2, 5), (0, 7, 9)]
    assert finder.counted(["专利权人", "专利", "专利"]) == {"专利权": 1, "专利": 2}
    assert Finder([]).places("专利") == []


def test_a_term_that_cuts_a_general_word_is_told_with_the_word():
    texts = ["国家主权力机关", "国家主权不受侵犯", "国家的权力"]
    cuts = {"国家主权力机关": ["国家", "主", "权力", "机关"], "国家主权不受侵犯": ["国家", "主权", "不受", "侵犯"]}
    found = overlaps(texts, ["国家主权"], cut=lambda text: cuts.get(text, [text]), is_general=lambda word: True)
    assert found == {"国家主权": Overlap(num_places=2, num_cuts=1, example="权力")}
    guessed = overlaps(texts, ["国家主权"], cut=lambda text: cuts.get(text, [text]), is_general=lambda word: False)
    assert guessed["国家主权"].num_cuts == 0


def test_a_word_that_holds_the_whole_term_does_not_cut_it():
    found = overlaps(["知识产权局"], ["知识产权"], cut=lambda text: [text], is_general=lambda word: True)
    assert found["知识产权"] == Overlap(num_places=1, num_cuts=0)


def test_one_cut_and_few_cuts_do_no_harm():
    assert [Overlap(num_places=places, num_cuts=cuts).is_harmful for places, cuts in ((1, 1), (100, 5), (100, 6), (3, 2))] == [
        False, False, True, True,
    ]  # fmt: skip


def test_the_real_segmenter_finds_the_cut_in_the_textbook_case():
    found = overlaps(["南京市长江大桥建成"], ["南京市长"], cut=rjieba.cut, is_general=is_general)
    assert found["南京市长"].num_cuts == 1
