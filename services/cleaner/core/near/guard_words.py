"""The words whose loss or change changes the law: negations, modals, connectives, comparisons; see also `guard_opposites`.

Most are recognised by one character, since that is enough to tell 应当 from 可以 and 或者 from 并且. Where the character also
lives in words that say nothing of the kind, e.g. 应 in 相应, those words are listed; what is not listed counts, so an omission
keeps two documents instead of dropping one. 和, 与, 及 and most 并 say no more than a comma does and do not count: they alone
kept one in eight of the near real articles apart that agree in law.
"""

from typing import Final

ALWAYS: Final = "不未无無非否勿毋莫或且但禁免仅僅至半<＜>＞≤≦≥≧±+＋¥￥$＄€£￡"
"""Count wherever they stand."""

UNLESS: Final = {
    "应": "相应 供应 适应 反应 响应 效应 感应 回应 应急 应变 应诉 应邀 应税 应聘 应届 应激",
    "應": "相應 供應 適應 反應 響應 效應",
    "须": "须知 胡须",
    "須": "須知",
    "可": "许可 認可 认可 可靠 可行 可持 可疑 可见 可观 可再 可比 可溶 可变 可燃",
    "得": "取得 所得 获得 使得 得到 懂得",
    "没": "没收 沉没 淹没 埋没 吞没 罚没",
    "需": "需求 供需 急需 军需 所需 内需",
    "宜": "适宜 事宜 便宜 宜昌 宜居 宜春 宜宾",
    "一": "一般 统一 一定 一律 一致 一切 同一 一经 一旦 一并 一起 一步 唯一 单一 一体 一些 一样 一直 一贯 一概 逐一 专一 划一 "
    "另一 某一 任一 每一 这一 该一 一同 一道 一向 一带 一再 一系 一线",
    "伍": "队伍 退伍 入伍 落伍",
    "陆": "陆地 大陆 内陆 陆上 陆海 海陆 陆军 陆路 陆域 陆源 陆生 陆空 着陆 登陆",
}
"""Count unless they stand in one of these words."""

CONTINUED: Final = (
    "应变更 应变卖 应变现 应变价 应急送 应急于 应届满 应届时 应邀请 应聘请 应聘任 应聘用 应激励 应诉诸 没收到 可见到 可行使 "
    "可行走 可比照 可观看 可观察 可变更 可变卖 可变现 可变价 可靠近 可燃放 可燃烧 可持有 可持证 可持本 可持其 可持凭 可持身 "
    "可持相 可疑似 可再次 可再行 可再申 可再向 可再延 可再提 可再予 可再审 可再议 须知道 须知会 须知悉 需求助 需求得 宜居住 "
    "得到场 得到庭 得到期"
)
"""Counts after all where a third character shows that the word is another one: 应变 is 应 in 应变更."""

NUMERALS_IN_WORDS: Final = "一伍陆"
"""Those of them that are numerals; beside another numeral they count in any case."""

ONLY: Final = {
    "能": "不能 能够 才能 只能 仅能 方能",
    "许": "允许 准许 不许",
    "務": "務必",
    "务": "务必",
    "并": "并处",
    "只": "只能 只有 只限 只可 只准",
    "除": "除外 除非",
    "上": "以上 上半 上年 上月 上季 上周 上旬",
    "中": "中旬",
    "下": "以下 下半 下年 下月 下季 下周 下旬",
    "内": "以内 之内 年内 月内 日内 天内 时内",
    "外": "以外 之外 除外",
    "前": "以前 之前 年前 月前 日前 天前",
    "后": "以后 之后 年后 月后 日后 天后",
    "超": "超过 超出",
    "满": "未满 已满 届满 不满",
    "高": "高于 最高",
    "低": "低于 最低",
    "大": "大于 最大",
    "小": "小于 最小",
    "多": "多于 最多",
    "少": "少于 最少",
    "早": "早于",
    "晚": "晚于",
    "阳": "阳性",
    "阴": "阴性",
    "每": "每年 每月 每日 每周 每季 每天 每次 每半",
    "按": "按年 按月 按日 按周 按季 按天 按次",
    "当": "当年 当月 当日 当季",
    "次": "次年 次月 次日",
    "拒": "拒绝 拒不",
    "同": "同意",
    "驳": "驳回",
}
"""Count only in these words."""

LONGER: Final = (
    "应当 可以 必须 不得 没有 禁止 严禁 免除 免予 免于 允许 准许 或者 并且 以内 以外 以前 以后 超过 超出 "
    "高于 低于 早于 晚于 大于 小于 多于 少于 每年 每月 每日 每周 每季 每天 每次 每半 按年 按月 按日 按周 按季 按天 按次 "
    "当年 当月 当日 当季 次年 次月 次日 上半 上年 上月 上季 上周 上旬 下半 下年 下月 下季 下周 下旬"
)
"""Count in any case, 对应当 having no 对应 in it, and otherwise than the one character of them that counts: 或 for 或者 is
a change that a person should see."""

ENGLISH: Final = (
    "no not nor neither never none nothing nobody without cannot don doesn didn isn aren wasn weren won wouldn shouldn couldn "
    "mustn needn hasn haven hadn unless except excluding excluded prohibit prohibits prohibited forbid forbids forbidden "
    "shall must may might can could should would will ought only or either permit permits permitted allow allows allowed "
    "require requires required entitled least most more less fewer greater before after above below under over within "
    "exceed exceeds exceeding minimum maximum positive negative "
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half once twice "
    "first second third fourth fifth sixth seventh eighth ninth tenth "
    "left right upper lower increase increased decrease decreased benign malignant acute chronic plaintiff defendant "
    "qd bid tid qid qod qn qm hs prn po iv im ih sc"
)
"""The same of English texts, as whole words in any case; don and its like are what is left of don't. At most 12 letters each.

The last line is how often, and by which way, a prescription wants it taken.
"""

SAME: Final = {
    "無": "无",
    "應": "应",
    "須": "须",
    "僅": "仅",
    "＜": "<",
    "＞": ">",
    "≦": "≤",
    "≧": "≥",
    "％": "%",
    "＋": "+",
    "￥": "¥",
    "＄": "$",
    "￡": "£",
    "µ": "μ",
}
"""Other ways to write a character."""

UNITS: Final = (
    "小年月日天周季时分秒元角倍人名个次条款项章节编级等岁例度米克吨升里亩户件份期种台辆册页字公千毫微厘平立％%‰℃μµ"
    "旬斤尺寸海摄华上下美欧英港澳加韩新瑞卢泰卷支瓶片粒袋盒针剂处家所间张座头只棵株滴丸包贴枚勺瓦伏安焦"
)
"""What may follow a number and belongs to it: 三年 is not 三月, 5mg is not 5g, 零上 is not 零下."""

LONGER_UNITS: Final = "个公毫微厘平立美欧英日港澳加韩新瑞卢泰人海摄华小瓦安"
UNIT_ENDS: Final = "工自交营月日年季周星小百基点斤里顷分尺寸吨克升米秒安方元镑币民浬氏法布铢时伏"
"""How units that begin with one of `LONGER_UNITS` go on: 个工作日 is not 个自然日, 毫克 is not 毫升, 美元 is not 欧元."""

SAME_UNITS: Final = {
    "克": "g",
    "毫克": "mg",
    "微克": "μg",
    "升": "l",
    "毫升": "ml",
    "厘米": "cm",
    "毫米": "mm",
    "公斤": "kg",
    "公里": "km",
    "摄氏": "℃",
    "小时": "h",
}
"""Units that are written out as often as not: 5毫克 is 5mg, as 5mL is 5ml."""

MINUS: Final = "-\u2212\uff0d\u2013负負"
"""Makes the number behind it another one, unless a digit, a letter or another of them stands before it: 2020-01-01, 3-5."""

RATES: Final = "/／"
"""Behind a number and its unit, what is per what: 20ml/h is not 20ml/min."""

CLASSES: Final = "级級类類期型度组档"
"""What makes a Latin letter, or a Roman numeral of letters, before it count: III级, A类; the last letter of IIIA期 is its own."""

PERCENT: Final = {"百": "%", "千": "‰", "万": "‱"}
"""百分之五 is 5%."""


def words(listed: dict[str, str]) -> list[str]:
    """Return all words of `UNLESS` or `ONLY`; each has two characters."""
    return [word for row in listed.values() for word in row.split()]
