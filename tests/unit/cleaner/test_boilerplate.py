import pytest

from services.cleaner.core.steps.boilerplate import drop_lines, needs
from services.cleaner.core.steps.joined import JoinedTexts

ARTICLE = "用人单位应当按照劳动合同约定和国家规定，向劳动者及时足额支付劳动报酬。"
DROPPED = [
    "当前位置：首页 > 法律法规 > 正文",
    "您所在的位置: 首页 » 政策",
    "首页 > 新闻中心 > 正文",
    "上一篇：关于印发办法的通知",
    "下一篇: 没有了",
    "上一页 下一页",
    "【打印】【关闭】",
    "[打印本页] [关闭窗口]",
    "【字体：大 中 小】 打印本页",
    "分享到：微信 微博 QQ空间",
    "字体：大 中 小",
    "首页 | 登录 | 注册",
    "返回顶部",
    "关于我们 | 联系我们 | 网站地图",
    "第 3 页 共 10 页",
    "第3页",
    "共 10 页 当前第 3 页",
    "- 12 -",
    "— 3 —",
    "Page 3 of 10",
    "页码：3/10",
    "版权所有：某某网",
    "某某市人民政府 版权所有",
    "Copyright © 2020-2023 某某公司 All Rights Reserved.",
    "© 2023 Example Inc.",
    "All Rights Reserved",
    "京ICP备12345678号-1",
    "备案号：沪ICP备2021000001号 地址：某某路1号",
    "京公网安备 11010802020000号",
    "本文来源于网络，如有侵权请联系删除",
    "未经本网授权不得转载",
    "责任编辑：张三",
    "（编辑：李四）",
    "浏览次数：123次",
    "发布时间：2020-01-01 点击数：45",
    "扫一扫关注公众号",
]
KEPT = [
    "第一条 " + ARTICLE,
    "首页应当显著位置公示营业执照信息。",
    "上一级人民检察院应当自收到之日起七日内作出决定。",
    "下一年度的预算，由财政部门编制。",
    "关闭",
    "注册",
    "评论",
    "打印遗嘱应当有两个以上见证人在场见证。",
    "第三页",
    "3",
    "-12",
    "1/2",
    "第3页以后的内容，由双方签字确认。",
    "著作权人声明不得转载、摘编的，其他报刊不得转载。",
    "实际被点击、浏览次数达到五千次以上的。",
    "（一）关闭、破坏直接关系生产安全的监控、报警、防护、救生设备、设施；",
    "软件的版权所有人可以许可他人使用。",
    "编辑：对作品进行审阅、修改和加工的专业人员。",
    "来源：某省人民政府公报",
    "All rights reserved to Licensor under Section 3 survive termination of this Agreement.",
    "大气 中水 小区",
    "更多",
]


@pytest.mark.parametrize("line", DROPPED)
def test_a_line_of_a_site_or_a_page_goes_wherever_it_stands(line):
    for text in (f"{line}\n{ARTICLE}", f"{ARTICLE}\n{line}", f"{ARTICLE}\n{line}\n{ARTICLE[::-1]}"):
        cleaned, dropped = drop_lines(text)
        assert (cleaned, dropped) == (text.replace(line, "").strip().replace("\n\n", "\n"), 1)
        assert needs(JoinedTexts.of(["甲", text, ""])).tolist() == [False, True, False]


@pytest.mark.parametrize("line", KEPT)
def test_a_line_of_the_text_stays(line):
    assert drop_lines(line) == (line, 0)
    assert drop_lines(f"{ARTICLE}\n{line}") == (f"{ARTICLE}\n{line}", 0)


def test_sentences_may_be_repeated_and_lines_that_follow_themselves_go():
    repeated = "单位犯前款罪的，依照前款的规定处罚。"
    text = f"{repeated}\n{ARTICLE}\n{repeated}\n第二款\n{repeated}"
    assert drop_lines(text) == (text, 0)
    assert drop_lines(f"{repeated}\n{repeated}\n无\n无") == (f"{repeated}\n无\n无", 1)
    assert needs(JoinedTexts.of([f"{repeated}\n{repeated}", text])).tolist() == [True, False]


def test_a_running_head_goes_with_its_page_numbers():
    head = "某某省人民政府公报"
    text = f"{head}\n- 1 -\n第一条 甲。\n{head}\n- 2 -\n第二条 乙。\n{head}\n- 3 -\n第三条 丙。"
    assert drop_lines(text) == (f"{head}\n第一条 甲。\n第二条 乙。\n第三条 丙。", 5)


def test_long_lines_are_text():
    line = "版权所有：" + "某" * 130
    assert drop_lines(line) == (line, 0)
