import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cleaner.core.cleaning import clean_texts
from services.cleaner.core.steps.boilerplate import MAX_LINE, drop_lines, needs
from services.cleaner.core.steps.joined import JoinedTexts
from services.cleaner.core.steps.site_lines import is_site_line
from services.cleaner.settings import CleaningRules

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
    "京公网安备11010802012345号",
    "网站备案号：京ICP备12345678号 京公网安备 11010802012345号",
    "版权所有 © 2024 某某网",
    "版权所有：某某网 京ICP备12345678号-1",
    "某某市人民政府办公室 版权所有，未经授权禁止转载",
    "版权所有 翻印必究",
    "未经授权禁止转载",
    "未经本站书面许可，任何单位和个人不得转载、摘编。",
    "本站部分内容来自网络，版权归原作者所有，如有侵权，请及时与我们联系，我们将立即删除。",
    "扫一扫关注我们",
    "微信扫一扫：分享到朋友圈",
    "扫一扫在手机上打开当前页",
    "扫码关注某某市中医院公众号",
    "您现在的位置：首页 > 法律 > 民法",
    "当前位置: 某某网 > 政策法规 > 关于印发《办法》的通知",
    "上一条：关于召开会议的通知",
    "下一条：没有了",
    "浏览次数：123",
    "阅读量: 1,024 次",
    "责任编辑：张三 李四",
    "编辑：李四 审核：王五",
    "打印 关闭",
    "编辑 ：李四",
    "北京大学出版社 版权所有 © 2020 www.example.com",
    "作者：张三 浏览：12次 All rights reserved",
    "共10页 第3页 上一页 下一页 末页",
    "发布时间：2020-01-01 来源：司法部 字体：大 中 小",
    "主办单位：某某局 网站标识码：1100000001",
    "在线咨询 预约挂号 专家介绍",
    "医院概况 | 科室介绍 | 就医指南 | 联系我们",
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
    "未经著作权人许可，不得转载其作品。",
    "未经患者本人同意，任何单位不得转载、公开其病历资料",
    "未经许可，任何单位和个人不得转载、摘编地图。",
    "网络服务提供者接到通知后，如有侵权内容，应当及时采取删除、屏蔽等措施。",
    "如有侵权，乙方应联系第三人删除",
    "被告网站页脚标注京公网安备11010802012345号，但未取得经营许可。",
    "材料载明：京公网安备11010802012345号，以上属实。",
    '原告主张被告网站标注"沪ICP备12345678号"，经查属实',
    "被告网站的备案号：沪ICP备12345678号",
    "ICP备案：被告未办理",
    "作品上应当标注著作权符号©",
    "图书扉页载明© 2019 张三",
    "软件界面载有版权所有：某某公司字样",
    "版权所有：双方共有",
    "版权所有：著作权人对作品享有的专有权利",
    "™®©",
    "Copyright 2019 claims are barred under the statute of limitations",
    "(c) 2019 revenue of the Licensee",
    "现在位置：左肺上叶，大小约2cm，边界清。",
    "现在位置：左肺上叶 > 右肺上叶",
    "首页 > 患者应当填写知情同意书",
    "审核：由两名药师双人核对",
    "审核：双人核对",
    "校对：通过",
    "编辑：程序",
    "责任编辑：负责稿件",
    "责任编辑应当取得相应资格",
    "扫码支付的，收单机构应当核验二维码",
    "扫一扫条码查看药品追溯信息",
    "下一条：患者既往体健",
    "下一条：既往体健",
    "上一章：违反本法规定",
    "下一篇：患者应当卧床",
    "浏览量: 12次为一疗程",
    "阅读：20",
    "访问：3次",
    "共3页第2页系伪造",
    "大/中/小",
    "评论 | 举报 | 关闭",
    "（大）",
    "【举报】",
    "小字",
    "分享：",
    "来源：患者自述 作者：张三",
    "主办单位：某某局",
    "专家介绍",
]

FOOTERS = [
    "京ICP备12345678号-1",
    "京公网安备 11010802012345号",
    "网站标识码：1100000001",
    "版权所有：某某网",
    "责任编辑：张三",
    "浏览次数：123次",
    "字体：大 中 小",
]
PIECES = (
    *"网。：， >|-（）【】©大中小a.\n",
    *(
        "返回",
        "首页",
        "返回首页",
        "打印",
        "打印本页",
        "字体：",
        "分享：",
        "2020",
        ".com",
        "版权所有",
        "公司",
        "司法部",
        "责任编辑：",
        "张三",
        "来源：",
    ),
    *(
        "如有侵权",
        "请",
        "联系",
        "我们",
        "未经",
        "本网",
        "转载",
        "任何",
        "扫一扫",
        "关注",
        "公众号",
        "当前位置：",
        "下一篇：",
        "在线咨询",
        "共3页第2页",
    ),
)


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


@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_no_line_takes_long(pieces):
    line = "".join(pieces)[:MAX_LINE]
    started = time.process_time()
    is_site_line(line)
    assert time.process_time() - started < 0.1


def test_a_document_of_one_line_that_quotes_a_number_of_a_site_is_not_empty():
    text = "材料载明：京公网安备11010802012345号，以上属实。"
    assert clean_texts([text], CleaningRules()).rejections == []


@given(st.lists(st.sampled_from(FOOTERS), min_size=1, max_size=5), st.sampled_from([" ", " | ", "  "]))
def test_items_of_a_footer_go_together_and_with_a_sentence_they_stay(items, between):
    line = between.join(items)
    for kept in (f"原告主张{line}", f"{line}，经查属实", f"{line} {ARTICLE}"):
        assert drop_lines(kept) == (kept, 0)
    assert drop_lines(f"{ARTICLE}\n{line}") == (ARTICLE, 1)
    assert needs(JoinedTexts.of([line])).all()


@pytest.mark.parametrize("line", DROPPED)
def test_a_sentence_around_boilerplate_keeps_it(line):
    for kept in (f"材料载明：{line}，以上属实。", f"患者应当注意{line}", f"{line}的，当事人不得主张权利"):
        assert drop_lines(kept) == (kept, 0)


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
