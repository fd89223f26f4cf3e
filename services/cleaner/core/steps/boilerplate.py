"""Lines that a website or a page layout put around a text. Whole lines only, anywhere in the document, by this document alone.

The patterns are strict, since a dropped line of a statute is worse than a menu that stays: a word that is also a word of the
law (关闭, 注册, 评论) is taken for a button only in brackets or in a row of buttons. Repeated sentences are no boilerplate (the
criminal law says "单位犯前款罪的，…" dozens of times): a repeated line goes only where it follows itself, or where it keeps
company with page numbers, as a running head does.
"""

import re
from collections import Counter
from functools import cache
from string import digits
from typing import Final

import numpy as np
import numpy.typing as npt

from services.cleaner.core.steps.joined import Flags, JoinedTexts
from services.cleaner.core.steps.traits import SEPARATOR, Trait

Codes = npt.NDArray[np.uint32]

MAX_LINE: Final = 120
"""Longer lines are text."""
MIN_REPEATED: Final = 8
"""Shorter lines may repeat: cells of tables."""
MIN_PAGES: Final = 2
"""A line that stands next to so many page numbers is a running head."""

_BUTTON = (
    "打印本页|打印本文|打印此页|关闭窗口|关闭本页|关闭页面|返回顶部|返回首页|返回列表|返回上一页|回到顶部|加入收藏|收藏本页|收藏本站|"
    "设为首页|复制链接|网站地图|联系我们|关于我们|网站首页|网站声明|我要纠错|分享到(?:微信|微博|朋友圈|QQ空间|QQ)?|"
    "点击(?:查看|阅读)(?:全文|原文|更多)|阅读(?:全文|原文)|展开全文|查看更多|上一[篇页]|下一[篇页]|末页|尾页|字体大小|大字|中字|小字"
)
_WEAK_BUTTON = (
    "首页|打印|关闭|返回|收藏|分享|评论|点赞|举报|登录|注册|更多|微信|微博|QQ空间|朋友圈|搜索|大|中|小|A\\+|A-"
)
_FRAME = r"[\s|｜/·>»›＞<【】\[\]()（）:：-]"
_BETWEEN = rf"{_FRAME}*"
_OPEN, _CLOSE = r"[【\[（(]\s*", r"\s*[】\]）)]"

_PATTERNS: Final = (
    # Where the reader is, and what is before and after.
    r"(?:您|你)?(?:的)?(?:当前|现在|所在)(?:所在)?(?:的)?位置\s*(?:是)?\s*[:：].*",
    r"首页\s*[>»›＞|｜].*",
    r"[上下]一[篇页条章]\s*[:：].*",
    # Buttons: a certain one, one in brackets, several of any kind.
    rf"{_BETWEEN}(?:{_BUTTON})(?:{_BETWEEN}(?:{_BUTTON}|{_WEAK_BUTTON}))*{_BETWEEN}",
    rf"(?:{_OPEN}(?:{_BUTTON}|{_WEAK_BUTTON}){_CLOSE}\s*)+",
    rf"[【\[（(]?(?:字体|字号|分享)\s*[:：](?:{_BETWEEN}(?:{_BUTTON}|{_WEAK_BUTTON}))*{_BETWEEN}",
    rf"(?:{_WEAK_BUTTON})(?:\s*[|｜/·>»›]\s*(?:{_BUTTON}|{_WEAK_BUTTON})){{2,}}",
    # Page numbers.
    r"第\s*\d{1,4}\s*页\s*[,，/|]?\s*[(（]?\s*(?:共\s*\d{1,4}\s*页)?\s*[)）]?",
    r"共\s*\d{1,4}\s*页\s*[,，/|]?\s*(?:当前)?第\s*\d{1,4}\s*页.*",
    r"[-—–－]+\s*\d{1,4}\s*[-—–－]+",
    r"[Pp]age\s+\d{1,4}(?:\s+of\s+\d{1,4})?|页码\s*[:：]\s*\d{1,4}.*|页次\s*[:：].*",
    # Who holds the rights and where the site is registered.
    r"(?!.*[。；]$).*(?:版权所有|[©Ⓒ]|\bcopyright\s*(?:©|\(c\)|\d{4}))(?:[\s:：©.,，()\-|]|\d|$).*",
    r"all rights reserved\.?",
    r"(?!.*[。；]$).*[\u4e00-\u9fff]\s?ICP\s?[备证]\s?\d{6,10}\s?号?.*|.*ICP\s?备案号?\s*[:：].*",
    r".*公网安备\s*\d{8,}.*",
    r".*如有侵权.{0,30}(?:联系|删除|告知).*|.*未经.{0,12}(?:授权|许可|同意|允许).{0,12}(?:不得|禁止|严禁)转载[^，；]{0,20}",
    # Counters and editors.
    r"[【\[（(]?\s*责任编辑\s*[:：].*|[【\[（(]?\s*(?:责编|编辑|审核|校对)\s*[:：]\s*[\u4e00-\u9fff·\s]{2,10}[】\]）)]?",
    r"(?:浏览|阅读|点击|访问)(?:次数|量|数)?\s*[:：]\s*\d+\s*次?.*|.*(?:浏览|阅读|点击|访问)(?:次数|量|数)\s*[:：]\s*\d+\s*次?",
    r"(?:扫一扫|扫码|微信扫描).{0,20}(?:关注|分享|二维码|手机|查看|打开|公众号).*",
)
_BOILERPLATE = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)
_PAGE_NUMBER = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS[7:11]), re.IGNORECASE)

_OPENINGS: Final = (
    "您当现所的", "你当现所的", "当前", "现在", "所在", "首页", "上一", "下一", "打印", "关闭于", "返回", "回到",
    "加入", "收藏", "设为", "复制", "网站", "联系", "我要", "分享", "点击赞", "阅读", "展开", "查看", "末页", "尾页",
    "字体号", "大字", "中字", "小字", "评论", "举报", "登录", "注册", "更多", "微信", "朋友", "搜索", "QQ", "qq",
    "页码次", "责任编", "编辑", "审核", "校对", "浏览", "访问", "扫一码", "PAa", "paA", "A+-lL", "a+-lL",
)  # fmt: skip
"""The first character of lines that the patterns open with, and what may come second."""
_FRAMES: Final = " |｜/·>»›＞<【】[]()（）:：-—–－"
_PAGES: Final = "第共大中小"
_INSIDE: Final = (
    "权所", "网安", "有侵", "得转", "止转", "览次", "读次", "击次", "问次", "览量", "读量", "击量", "问量", "览数",
    "读数", "击数", "问数", "CP", "cp", "yr", "YR",
)  # fmt: skip
"""Two characters next to each other out of each phrase that the other patterns contain."""
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
        if 0 < len(line) <= MAX_LINE and _BOILERPLATE.fullmatch(line):
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
    pages = [at for at, line in enumerate(lines) if 0 < len(line) <= MAX_LINE and _PAGE_NUMBER.fullmatch(line)]
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
    pairs |= {frame + character for frame in _FRAMES for character in inner}
    pairs |= {page + character for page in _PAGES for character in _FRAMES + digits}
    return tuple(sorted(pairs))
