"""Each step on its own: what it changes, and what it must leave alone."""

import doctest
import importlib
import pkgutil
import re
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cleaner.core import steps
from services.cleaner.core.steps import invisible_characters, markdown, markup, simplified, spaces, symbols, widths
from services.cleaner.core.steps.encodings import CP1252_BYTES
from services.cleaner.core.steps.joined import JoinedTexts
from services.cleaner.core.steps.mojibake import broken_share, may_be_broken, needs, repair

ARTICLE = "本法所称的发明创造是指发明、实用新型和外观设计。\n发明，是指对产品、方法或者其改进所提出的新的技术方案。"
KEPT = "⁹ ² ① ½ ℃ ㎎ ‰ ㎡ Ⅲ ，。；：（）！？、《》“”‘’【】〔〕…… —— ％ － × ÷ ± ≤ α β 〇 々"
MODULES = [f"{steps.__name__}.{module.name}" for module in pkgutil.iter_modules(steps.__path__)]
CP1252 = {byte: character for character, byte in CP1252_BYTES.items()}


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_the_docstrings_hold(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0


@pytest.mark.parametrize(
    "step",
    [
        repair,
        invisible_characters.remove_invisible,
        widths.fold,
        markup.strip_markup,
        spaces.tighten,
        lambda text: symbols.shorten(text, max_repeats=3),
    ],
)
@pytest.mark.parametrize("text", [ARTICLE, KEPT, "", "10⁹/L，m²，①，½，℃，㎎，‰"])
def test_what_has_a_meaning_stays(step, text):
    assert step(text) == (text, 0)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("第１２条 Ａｂｃ", "第12条 Abc"),
        ("⽂⽉⼈⾧", "文月人長"),
        ("⻓⻔⻅⺠", "长门见民"),
        ("豈\U0002f800", "豈丽"),
        ("e\u0301 Å \u1100\u1161\u11a8", "é Å 각"),
        ("，。（％）／", "，。（％）／"),
    ],
)
def test_letters_get_one_width_and_one_code_point(text, folded):
    assert widths.fold(text)[0] == unicodedata.normalize("NFC", folded)


def test_radicals_fold_to_the_character_that_they_are_drawn_like():
    supplement = [character for character in widths.FOLDS if 0x2E80 <= ord(character) < 0x2F00]
    assert len(supplement) == 28
    named = {character: unicodedata.name(character) for character in supplement}
    assert named["⻓"] == "CJK RADICAL C-SIMPLIFIED LONG"
    assert all(name.startswith("CJK RADICAL") for name in named.values())
    assert {unicodedata.name(folded)[:21] for folded in widths.FOLDS.values() if ord(folded) > 0x7F} == {
        "CJK UNIFIED IDEOGRAPH"
    }


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("a<b", "a<b"),
        ("若a<b>c，则P<0.05", "若a<b>c，则P<0.05"),
        ("x<y and z>w，5<i", "x<y and z>w，5<i"),
        ("<中华人民共和国宪法><<刑法>>", "<中华人民共和国宪法><<刑法>>"),
        ("R&D, AT&T, a&b;", "R&D, AT&T, a&b;"),
        ("<someone@court.gov.cn>", "<someone@court.gov.cn>"),
        ("|x|+|y|=2，[1](2)，第[三](四)项", "|x|+|y|=2，[1](2)，第[三](四)项"),
        ("张**诉李**，**与**合同纠纷", "张**诉李**，**与**合同纠纷"),
        ("#话题# C#", "#话题# C#"),
        ("文字a<b>粗体</b>，<i class='x'>斜</i>", "文字a粗体，斜"),
        ("10<sup>9</sup>/L，H<sub>2</sub>O，见<sup>[注]</sup>", "10⁹/L，H₂O，见[注]"),
        ("年龄&gt;=18岁&amp;amp;lt;60岁&#12290;&unknown;", "年龄>=18岁<60岁。&unknown;"),
        ("甲<!-- 注 -->乙<script>if(a<b)x()</script>丙<style>p{}</style>丁", "甲乙丙丁"),
        ('一<br/>二<p class="a">三</p>', "一\n二\n三\n"),
        ('<custom-box data="1">字</custom-box><o:p></o:p>', "字"),
        ("<table><tr><td>1</td> <td a=b>2</td></tr></table>", "\n\n1 | 2\n\n"),
        ("<![CDATA[原文]]>", "原文"),
        ('![图](media/image1.png){width="3in"}见[附件](https://a.cn/b)', "图见附件"),
        ("\\<中华人民共和国基本法\\>", "<中华人民共和国基本法>"),
        ("**重点**：内容。**摘要：**无", "重点：内容。摘要：无"),
        ("```json\n内容\n```", "内容\n"),
        ("+---+---+\n| 甲 | 乙 |\n+===+===+\n|  |\n- - -", "甲 | 乙\n- - -"),
    ],
)
def test_markup_goes_and_what_looks_like_it_stays(text, stripped):
    assert markup.strip_markup(text)[0] == stripped


def test_of_a_page_only_the_text_is_left_with_its_cells_apart():
    page = (
        "<!DOCTYPE html><html><head><title>题</title><style>a{}</style></head><body><nav><a href='/'>首页</a></nav><h1>办法</h1>"
        "<p>第一条 a &lt; b<p>第二条<table><tr><td>税目<td>税率<tr><td>原油<td>6％</table>"
        "<script>x()</script><footer>版权</footer></body></html>"
    )
    text, changed = markup.strip_markup(page)
    assert spaces.tighten(text)[0] == "办法\n第一条 a < b\n第二条\n税目 | 税率\n原油 | 6％"
    assert changed > 1


@pytest.mark.parametrize(
    "attack",
    [
        "<!--" * 20_000, "-->" + "<!--" * 20_000, "<b>" * 20_000 + "</b>" * 20_000, "<" * 80_000, "<a b=c" + " b=c" * 20_000,
        "&amp;" * 20_000, "|" * 80_000, "-" * 80_000 + "x", "[a](" * 20_000, "**a" * 30_000, "<p" + " " * 80_000,
        "| " * 40_000 + "x",
        "<script>" * 10_000 + "</script", "<zz " + "a=b " * 20_000,
    ],
)  # fmt: skip
def test_markup_takes_linear_time_whatever_is_sent(attack):
    started = time.process_time()
    markup.strip_markup(attack)
    # The slowest takes 0.15 s; what is quadratic takes minutes.
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("text", "shortened"),
    [
        ("★★★★★ -----！！！！！", "★★★ ---！！！"),
        ("第...条……完——终。。。。", "第...条……完——终。。。"),
        ("………… ————", "…… ——"),
        ("1111111aaaaaa哈哈哈哈哈②②②②②", "1111111aaaaaa哈哈哈哈哈②②②②②"),
        ("××××年，张**，138****0000，□□□□", "××××年，张**，138****0000，□□□□"),
        ("*" * 30, "*" * 8),
        ("____😂😂😂😂", "___😂😂😂"),
        ("\u0301" * 5, "\u0301" * 5),
    ],
)
def test_runs_of_symbols_are_cut_and_digits_and_letters_never(text, shortened):
    assert symbols.shorten(text, max_repeats=3)[0] == shortened


def test_a_run_is_as_long_as_the_rules_say():
    assert symbols.shorten("★" * 9 + "…" * 5, max_repeats=5) == ("★★★★★……", 2)


@settings(deadline=None)
@given(st.text(st.sampled_from(" \t\u3000\xa0\n甲a，"), max_size=40))
def test_white_space_is_tight(text):
    tight, changed = spaces.tighten(text)
    assert (changed > 0) == (tight != text)
    assert not {"  ", " \n", "\n ", "\n\n"} & {first + second for first, second in pairwise(tight)}
    assert [*filter(str.strip, text)] == [*filter(str.strip, tight)]


def as_cp1252(text: str) -> str:
    return "".join(CP1252.get(byte, chr(byte)) for byte in text.encode())


@pytest.mark.parametrize("misread", [as_cp1252, lambda text: text.encode().decode("latin-1")])
@pytest.mark.parametrize("text", [ARTICLE, "中国", "第12条 （一）血糖≥7.0 mmol/L；".replace("≥", ">"), "“合同”——……"])
def test_utf_8_that_was_read_as_latin_is_read_again(misread, text):
    assert repair(misread(text))[0] == text
    assert repair(misread(misread(text)))[0] == text


def test_what_was_read_wrongly_three_times_is_left_and_measured_as_broken():
    text = as_cp1252(as_cp1252(as_cp1252("中国人民")))
    assert repair(text) == (text, 0)
    assert broken_share(text) > 0.5


def test_utf_8_that_was_read_as_gbk_is_read_again_where_no_byte_was_lost():
    assert repair("中国人民".encode().decode("gb18030")) == ("中国人民", 1)
    assert (
        repair("依照本法".encode().decode("gb18030") + " (2020) " + "的规定。".encode().decode("gb18030", "ignore"))[1]
        == 1
    )
    lost = "中华人民共和国".encode().decode("gbk", "replace")
    assert repair(lost) == (lost, 0)


@pytest.mark.parametrize(
    "text",
    [
        "«\xa0Le café\xa0» et le thé\xa0», français, naïve, Größe, São Paulo, año",
        "涓涓细流，鐨勬不是字，浗",
        "The Licensor’s “Agreement” — €5 £3 ©2019",
        "é»„",
        "créée, agréée, naïveté; Straße, Größe, Äußerung, ÜBERGRÖSSE; ÉÈÀÇ",
        "Bộ luật Dân sự nước Cộng hòa xã hội chủ nghĩa Việt Nam; ýý, ớợ, ãõ, êô",
        "Þórður Ægisson, þú ætlaðir, ÅÄÖ, åäö; ××××××××，········，§§ 5–7",
    ],
)
def test_clean_text_in_any_language_is_not_repaired(text):
    assert repair(text) == (text, 0)
    assert broken_share(text) == 0


@pytest.mark.parametrize(
    "text", ["中华人民共和国", ARTICLE, "第 12 条 当事人应当依照本法的规定申请 (café) “不得”拒绝。"]
)
def test_gb_2312_that_was_read_as_latin_is_read_again(text):
    read_wrongly = re.sub("[^\x00-\xff]+", lambda run: run[0].encode("gbk").decode("latin-1"), text)
    assert needs(JoinedTexts.of(["甲", read_wrongly])).tolist() == [False, True]
    assert repair(read_wrongly)[0] == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("제일조 대한민국은 민주공화국이다", "euc-kr"),
        ("Статья первая настоящего Федерального закона", "koi8-r"),
        ("Статья первая настоящего Федерального закона", "cp1251"),
        ("第一条　この法律は、公布の日から施行する。", "euc-jp"),
        ("桎梏踟蹰龃龉", "gbk"),
    ],
)
def test_bytes_that_are_not_certainly_gb_2312_are_measured_as_broken(text, encoding):
    read_wrongly = text.encode(encoding).decode("latin-1")
    assert repair(read_wrongly) == (read_wrongly, 0)
    assert broken_share(read_wrongly) > 0.2
    assert may_be_broken(JoinedTexts.of([read_wrongly])).all()


def test_english_quotation_marks_are_repaired_without_any_han():
    assert repair("the Licensorâ€™s â€œAgreementâ€\x9d") == ("the Licensor’s “Agreement”", 3)


def test_utf_8_in_gbk_that_lost_bytes_is_measured_as_broken():
    assert broken_share(ARTICLE.encode().decode("gbk", "ignore")) > 0.5
    assert broken_share("山楂茶、菊花枸杞茶、山楂茶。") == 0


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("锟斤拷锟斤拷甲乙丙丁", 0.6),
        ("烫烫烫烫" * 5, 1.0),
        ("\ufffd\ufffd甲乙", 0.5),
        ("烫伤，屯田，锟", 0.0),
        (ARTICLE, 0.0),
        ("", 0.0),
    ],
)
def test_characters_that_are_lost_are_measured(text, share):
    assert broken_share(text) == pytest.approx(share)


def test_traditional_characters_become_simplified_phrase_by_phrase():
    assert simplified.simplify("請您答覆：中華民國的乾隆皇帝很乾淨") == ("请您答复：中华民国的乾隆皇帝很干净", 6)


def test_markdown_of_plain_text_is_plain_text():
    assert markdown.strip_markdown(ARTICLE) == (ARTICLE, 0)
