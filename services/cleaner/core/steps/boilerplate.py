"""Lines that a website or a page layout put around a text. Whole lines only, anywhere in the document, by this document alone.

The patterns (`site_lines`) are strict, since a dropped line of a statute is worse than a menu that stays: they spell out the
whole line, and a word that is also a word of the law (关闭, 注册, 评论) is a button only in a row of buttons. Repeated sentences
are no boilerplate (the criminal law says "单位犯前款罪的，…" dozens of times): a repeated line goes only where it follows itself,
or where it keeps company with page numbers, as a running head does.
"""

from collections import Counter
from functools import cache
from string import digits
from typing import Final

import numpy as np
import numpy.typing as npt

from services.cleaner.core.steps.joined import Flags, JoinedTexts
from services.cleaner.core.steps.site_lines import SECTIONS, is_page_number, is_site_line
from services.cleaner.core.steps.traits import SEPARATOR, Trait

Codes = npt.NDArray[np.uint32]

MAX_LINE: Final = 120
"""Longer lines are text."""
MIN_REPEATED: Final = 8
"""Shorter lines may repeat: cells of tables."""
MIN_PAGES: Final = 2
"""A line that stands next to so many page numbers is a running head."""

_OPENINGS: Final = (
    "您当现所的", "你当现所的", "当前", "现在", "所在", "首页", "上一", "下一", "打印", "关闭于", "返回", "回到",
    "加入", "收藏", "设为", "复制", "网站", "联系", "我要", "分享", "点击赞", "阅读", "展开", "查看", "末页", "尾页",
    "大字", "中字", "小字", "评论", "举报", "登录", "注册", "更多", "微信", "朋友", "搜索", "QQ", "qq", "本站",
    "主页", "点赞", "页码次", "PAa", "paA", "A+-lL", "a+-lL",
)  # fmt: skip
"""The first character of lines that the patterns open with, and what may come second."""
_FRAMES: Final = " |｜/·>»›＞<【】[]()（）:：-—–－"
_PAGES: Final = "第共大中小"
_INSIDE: Final = (
    "权所", "网安", "识码", "有侵", "及侵", "在侵", "如侵", "若侵", "果侵", "得转", "止转", "禁转", "勿转", "绝转", "自转",
    "式转", "浏览", "点击", "读次", "读量", "读数", "问次", "问量", "问数", "编辑", "责编", "字体", "字号", "分享", "扫一",
    "扫码", "维码", "CP", "cp", "yr", "YR",
)  # fmt: skip
"""Two characters next to each other out of each phrase that the patterns contain which begin with anything."""
_HASH_BITS: Final = 18
_HASH_MULTIPLIER: Final = np.uint32(2053)
"""Leaves hardly any pair that is common in Chinese with the hash of one that is looked for."""


def needs(joined: JoinedTexts) -> Flags:
    """Return which documents hold a line that may be boilerplate, or one that follows itself."""
    inside = np.take(_pair_table(_INSIDE), _pair_hash(joined.codes[:-1], joined.codes[1:]))
    ends = np.flatnonzero((joined.codes == ord("\n")) | (joined.codes == SEPARATOR))
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    lengths = ends - starts
    short = (lengths > 0) & (lengths <= MAX_LINE)
    first, second = joined.codes[starts], joined.codes[np.minimum(starts + 1, ends)]
    opens = _pair_table(_openings())[_pair_hash(first, second)] & short
    # A line may follow itself where both are of one length and alike at three places.
    middle, last = joined.codes[(starts + ends) // 2], joined.codes[np.maximum(ends - 1, 0)]
    again = (lengths[1:] == lengths[:-1]) & (lengths[1:] >= MIN_REPEATED) & (joined.codes[ends[:-1]] != SEPARATOR)
    again &= (second[1:] == second[:-1]) & (middle[1:] == middle[:-1]) & (last[1:] == last[:-1])
    places = np.concatenate((np.flatnonzero(inside), starts[opens], starts[1:][again]))
    return joined.has(Trait.SIGN) | joined.documents_at(places)


def drop_lines(text: str) -> tuple[str, int]:
    r"""Return the text without boilerplate lines, and how many there were.

    Example:
        >>> drop_lines("当前位置：首页 > 法规\n本法自2021年1月1日起施行。\n【打印】【关闭】\n版权所有：某网 京ICP备12345678号")
        ('本法自2021年1月1日起施行。', 3)
    """
    lines = text.split("\n")
    heads = _running_heads(lines)
    kept: list[str] = []
    for line in lines:
        if 0 < len(line) <= MAX_LINE and is_site_line(line):
            continue
        if line in heads:
            # The first is the title, perhaps; the others are not.
            if heads[line]:
                continue
            heads[line] = True
        if kept and line == kept[-1] and len(line) >= MIN_REPEATED:
            continue
        kept.append(line)
    return "\n".join(kept), len(lines) - len(kept)


def _running_heads(lines: list[str]) -> dict[str, bool]:
    """Return the lines that stand next to several page numbers; False: none was kept so far."""
    pages = [at for at, line in enumerate(lines) if 0 < len(line) <= MAX_LINE and is_page_number(line)]
    if len(pages) < MIN_PAGES:
        return {}
    beside = Counter(lines[at] for page in pages for at in (page - 1, page + 1) if 0 <= at < len(lines))
    return {
        line: False for line, times in beside.items() if times >= MIN_PAGES and line and not line.endswith(("。", "；"))
    }


def _pair_hash(first: Codes, second: Codes) -> Codes:
    return (first * _HASH_MULTIPLIER + second) & np.uint32((1 << _HASH_BITS) - 1)


@cache
def _pair_table(pairs: tuple[str, ...]) -> Flags:
    """Return by hash whether two characters may be one of the pairs; others of the same hash are looked at in vain."""
    table = np.zeros(1 << _HASH_BITS, np.bool_)
    codes = np.array([[ord(character) for character in pair] for pair in pairs], np.uint32)
    table[_pair_hash(codes[:, 0], codes[:, 1])] = True
    return table


@cache
def _openings() -> tuple[str, ...]:
    """Return both first characters of the lines to look at."""
    inner = {opening[0] for opening in _OPENINGS} | set(_FRAMES + _PAGES + digits)
    pairs = {opening[0] + second for opening in _OPENINGS for second in opening[1:]}
    pairs |= {section[:2] for section in SECTIONS}
    pairs |= {frame + character for frame in _FRAMES for character in inner}
    pairs |= {page + character for page in _PAGES for character in _FRAMES + digits}
    return tuple(sorted(pairs))
