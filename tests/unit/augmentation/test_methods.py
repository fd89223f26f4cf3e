"""Made texts: what is never touched, that they are marked, and that they never reach evaluation."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.augmentation.back_translation import Fault, augmented_by_back_translation, fault
from shared.augmentation.records import (
    Method,
    TrainingText,
    for_evaluation,
    may_be_augmented,
    meaning_markers,
)
from shared.augmentation.synonyms import SynonymReplacer, augmented_by_synonyms
from shared.corpus import is_held_out
from shared.demo.statutes import load_statutes
from shared.word_pairs import NEVER_CHANGED

DIGEST = "ab" * 32
SYNONYMS = {
    "建立": ["设立", "组建"],
    "规定": ["条款"],
    "企业": ["公司", "厂商"],
    "劳动者": ["职工", "雇员"],
    "权利": ["权力", "权益"],
    "终止": ["结束"],
    "结束": ["终止", "完结"],
    "不得": ["禁止"],
    "三年": ["36个月"],
    "土地": ["田地"],
    "依照": ["按照"],
    "报告": ["汇报"],
    "负责": ["主管"],
}
REPLACER = SynonymReplacer(SYNONYMS, terms=["土地承包经营权", "企业破产法"])
OPEN = next(name for name in ("民法典", "刑法", "公司法", "专利法") if not is_held_out(name))
HELD_OUT = next(name for name in map(str, range(100)) if is_held_out(name))


def test_replaces_words_by_their_synonyms():
    text = "企业应当依照规定向劳动者报告"

    replaced = REPLACER.replace(text, digest=DIGEST, share=1)

    assert replaced in {f"{a}应当按照条款向{b}汇报" for a in ("公司", "厂商") for b in ("职工", "雇员")}
    assert REPLACER.replace(text, digest=DIGEST, share=1) == replaced
    assert REPLACER.replace(text, digest=DIGEST, share=0) == text


def test_the_digest_decides():
    text = "企业应当依照规定向劳动者报告，由企业负责"

    made = {REPLACER.replace(text, digest=f"{number:064x}", share=0.3) for number in range(20)}

    assert len(made) > 5
    assert text not in made


def test_the_share_is_kept():
    text = "依照规定建立企业，报告劳动者"

    for share, changed in ((0.01, 1), (0.4, 2), (1, 6)):
        made = REPLACER.replace(text, digest=DIGEST, share=share)
        words = ("依照", "规定", "建立", "企业", "报告", "劳动者")
        assert sum(word not in made for word in words) == changed
    with pytest.raises(ValueError, match="share"):
        REPLACER.replace(text, digest=DIGEST, share=1.1)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("当事人的权利", id="a legal pair"),
        pytest.param("合同终止", id="what a pair is about"),
        pytest.param("不得报销三年", id="negation and number"),
        pytest.param("土地承包经营权", id="part of a term"),
        pytest.param("企业破产法", id="part of another term"),
        pytest.param("", id="nothing"),
    ],
)
def test_leaves_alone(text: str):
    assert REPLACER.replace(text, digest=DIGEST, share=1) == text


def test_no_synonym_is_a_word_of_a_pair():
    assert REPLACER.replace("会议结束", digest=DIGEST, share=1) == "会议完结"
    assert REPLACER.words.isdisjoint(NEVER_CHANGED)
    assert SynonymReplacer({}).replace("会议结束", digest=DIGEST, share=1) == "会议结束"


def test_real_statutes_keep_their_meaning():
    documents = load_statutes().first[::20]
    changed = 0
    for document in documents:
        made = REPLACER.replace(document.text, digest=DIGEST, share=0.5)
        changed += made != document.text
        assert meaning_markers(made) == meaning_markers(document.text)
    assert changed >= 0.5 * len(documents)


@given(st.text(alphabet="企业建立规定不得三年权利土地承包经营者0１。", max_size=40), st.floats(0, 1))
def test_markers_never_change(text: str, share: float):
    assert meaning_markers(REPLACER.replace(text, digest=DIGEST, share=share)) == meaning_markers(text)


def test_a_made_text_is_marked():
    original = TrainingText(text="依照规定报告", group=OPEN, labels=("行政法",))

    made = augmented_by_synonyms(original, REPLACER, digest=DIGEST, share=1)

    assert made == TrainingText(
        text="按照条款汇报", group=OPEN, labels=("行政法",), augmented_from=DIGEST, method=Method.SYNONYMS
    )
    assert not may_be_augmented(made)
    assert augmented_by_synonyms(made, REPLACER, digest=DIGEST, share=1) is None


def test_nothing_is_made_of_held_out_texts_and_nothing_made_evaluates():
    held_out = TrainingText(text="依照规定报告", group=HELD_OUT)
    smuggled = TrainingText(text="按照规定报告", group=HELD_OUT, augmented_from=DIGEST, method=Method.SYNONYMS)
    training = TrainingText(text="依照规定报告", group=OPEN)

    assert augmented_by_synonyms(held_out, REPLACER, digest=DIGEST, share=1) is None
    assert augmented_by_synonyms(TrainingText(text="无", group=OPEN), REPLACER, digest=DIGEST, share=1) is None
    assert for_evaluation([held_out, smuggled, training]) == [held_out]


class Dictionary:
    """Translates there by marking, and back by a table."""

    def __init__(self, back: dict[str, str]) -> None:
        self._back = back

    async def there(self, texts: Sequence[str]) -> list[str]:
        return [f"<{text}>" for text in texts]

    async def back(self, texts: Sequence[str]) -> list[str]:
        return [self._back[text[1:-1]] for text in texts]


async def test_back_translation_takes_what_still_says_the_same():
    back = {
        "当事人应当在三日内报告": "当事人应当于三日内汇报 ",
        "当事人不得报告": "当事人可以报告",
        "由企业负责": "由企业负责",
    }
    originals = [TrainingText(text=text, group=OPEN, labels=("法",)) for text in back]
    originals.insert(1, TrainingText(text="保留", group=HELD_OUT))

    result = await augmented_by_back_translation(originals, ["0", "1", "2", "3"], Dictionary(back))

    assert result.texts == (
        TrainingText(
            text="当事人应当于三日内汇报",
            group=OPEN,
            labels=("法",),
            augmented_from="0",
            method=Method.BACK_TRANSLATION,
        ),
    )
    assert result.faults == ((2, Fault.MEANING), (3, Fault.SAME))


@pytest.mark.parametrize(
    ("original", "returned", "found"),
    [
        ("处三年以下有期徒刑", "处五年以下有期徒刑", Fault.MEANING),
        ("罚款 3.5 元", "罚款 35 元", Fault.MEANING),
        ("可以申请", "得申请", Fault.MEANING),
        ("申请行政复议的人", "提出行政申诉的人", Fault.TERM),
        ("申请复核", "申", Fault.LENGTH),
        ("申请复核", "申请人申请进行复核的申请", Fault.LENGTH),
        ("申请复核", "申请复核", Fault.SAME),
        ("申请复核", "提请复核", None),
    ],
)
def test_faults_of_a_back_translation(original: str, returned: str, found: Fault | None):
    assert fault(original, returned, ["行政复议"]) is found
