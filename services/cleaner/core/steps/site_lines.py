"""What a line of a website or a page layout looks like as a whole.

Each pattern spells out the whole line: words of a closed list, labels with values of a known form, numbers of registers. None
takes whatever stands around such a word, since sentences of law quote them (被告网站标注京公网安备…号) and sentences of medicine
look like them (下一条：患者既往体健). `_STATES` marks a sentence wherever a pattern leaves a title or a name open.
"""

import re
from typing import Final

_STATES = (
    "应当|应予|不应|必须|不得(?!转载)|须(?!知)|可以|患者|病人|当事人|原告|被告|上诉人|申请人|第三人|权利人|著作权|甲方|乙方|双方|"
    "本院|经查|查明|属实|载明|标注|主张|证明|认为|构成|违反|享有|既往|主诉|疗程|全部版权"
)
"""Words that say something about somebody: no name of a site or of an office and hardly any title holds one."""
_NO_STATEMENT = rf"(?!.*(?:{_STATES}))"

# Buttons. A weak one is a word of the law or of medicine too.
_BUTTON = (
    "打印本页|打印本文|打印此页|关闭窗口|关闭本页|关闭页面|返回顶部|返回首页|返回列表|返回上一页|回到顶部|加入收藏|收藏本页|收藏本站|"
    "设为首页|复制链接|网站地图|联系我们|关于我们|网站首页|网站声明|我要纠错|分享到(?:微信|微博|朋友圈|QQ空间|QQ)?|"
    "点击(?:查看|阅读)(?:全文|原文|更多)|阅读(?:全文|原文)|展开全文|查看更多|上一[篇页]|下一[篇页]|末页|尾页|字体大小"
)
_WEAK_BUTTON = (
    r"首页|打印|关闭|返回|收藏|分享|评论|点赞|举报|登录|注册|更多|微信|微博|QQ空间|朋友圈|搜索|"
    r"大字|中字|小字|大|中|小|A\+|A-"
)
_ANY_BUTTON = f"(?:{_BUTTON}|{_WEAK_BUTTON})"
_TOOL = "打印|关闭|返回|收藏|分享|点赞"
SECTIONS: Final = (
    "在线咨询", "网上咨询", "预约挂号", "在线预约", "网上预约", "专家介绍", "专家团队", "名医风采", "医院概况", "医院简介",
    "医院介绍", "科室介绍", "科室导航", "就医指南", "来院路线", "健康科普", "新闻中心", "新闻动态", "通知公告", "公示公告",
    "政务公开", "信息公开", "政务服务", "办事服务", "办事大厅", "互动交流", "政民互动", "政策法规", "机构设置", "机构职能",
    "领导信息", "领导信箱", "网站导航", "友情链接", "无障碍浏览", "繁体版", "手机版",
)  # fmt: skip
"""Parts of the sites of offices and hospitals; several in a row are a menu."""
_MENU_WORD = rf"(?:{'|'.join(SECTIONS)}|网站首页|网站地图|联系我们|关于我们|设为首页|加入收藏|首页)"

_BETWEEN = r"[\s|｜/·>»›＞<【】\[\]()（）:：-]*"
_OPEN, _CLOSE = r"[【\[（(]\s*", r"\s*[】\]）)]"
_BAR = r"\s*[|｜/·>»›]\s*"

# Where the reader is, and what is before and after.
_NAME = r"[^\s。，；：！？,;:!?>»›＞|｜]{1,20}"
_STEP = r"\s*[>»›＞]+\s*"
_TITLE = r"[^。；！？!?>»›＞]{1,60}"
_HOME = r"(?:网站|本站)?首页|主页|home|[^\s。，；：！？,;:!?>»›＞|｜]{1,14}(?:网站|网)"
_HERE = r"(?:的)?(?:当前|现在|所在)(?:所在)?(?:的)?位置\s*(?:是)?\s*[:：]\s*"
_PATH = rf"(?:{_STEP}{_NAME}){{0,6}}"
_ANNOUNCED = (
    r"(?:【[^】]{1,10}】)?(?:《[^》]{2,50}》|"
    r"关于[^。；，]{2,50}的?(?:通知|公告|通报|公示|通告|意见|批复|函|决定|说明|解读))"
)
_WHERE = (
    rf"(?:您|你)?{_HERE}{_NO_STATEMENT}(?:{_HOME}){_PATH}(?:{_STEP}{_TITLE})?\s*[>»›＞]?",
    rf"(?:您|你){_HERE}{_NO_STATEMENT}{_NAME}(?:{_STEP}{_NAME})+",
    rf"(?:网站|本站)?首页{_NO_STATEMENT}{_PATH}{_STEP}{_TITLE}",
    rf"首页{_NO_STATEMENT}(?:\s*[|｜]\s*[^\s。，；：！？,;:!?>|｜]{{1,8}}){{2,}}",
    rf"[上下]一篇\s*[:：]{_NO_STATEMENT}{_TITLE}",
    rf"[上下]一[页条章]\s*[:：]\s*{_NO_STATEMENT}(?:没有了?|暂无|{_ANNOUNCED})",
)
_BUTTONS = (
    # A certain one, some in brackets, several of any kind of which one is no word of the law.
    rf"{_BETWEEN}(?:{_BUTTON})(?:{_BETWEEN}{_ANY_BUTTON})*+{_BETWEEN}",
    rf"{_OPEN}(?:{_BUTTON}|打印|分享|点赞|更多){_CLOSE}",
    rf"{_OPEN}{_ANY_BUTTON}{_CLOSE}(?:\s*{_OPEN}{_ANY_BUTTON}{_CLOSE})+",
    rf"(?:{_WEAK_BUTTON})(?=.*(?<=首页|打印|登录|收藏|分享|点赞|A\+))(?:{_BAR}{_ANY_BUTTON}){{2,}}",
    rf"(?:{_TOOL})(?=.*(?<=打印|分享|点赞))(?:\s+(?:{_TOOL}))+",
    rf"{_BETWEEN}{_MENU_WORD}(?:[\s|｜/·]+{_MENU_WORD}){{2,}}{_BETWEEN}",
)
_PAGER = rf"(?:[\s|｜/·,，]*(?:{_BUTTON}|首页|转到|跳转|GO|每页\s*\d+\s*条|共\s*\d+\s*条|第?\s*\d{{1,4}}\s*页?))*\s*"
_PAGE_NUMBERS = (
    r"第\s*\d{1,4}\s*页\s*[,，/|]?\s*[(（]?\s*(?:共\s*\d{1,4}\s*页)?\s*[)）]?",
    rf"共\s*\d{{1,4}}\s*页\s*[,，/|]?\s*(?:当前)?第\s*\d{{1,4}}\s*页{_PAGER}",
    r"[-—–－]+\s*\d{1,4}\s*[-—–－]+",
    r"page\s+\d{1,4}(?:\s+of\s+\d{1,4})?|页码\s*[:：]\s*\d{1,4}(?:\s*/\s*\d{1,4})?",
    rf"页次\s*[:：]\s*\d{{1,4}}\s*/\s*\d{{1,4}}\s*页?{_PAGER}",
)

# Items of heads and footers, the certain ones first.
_OFFICE = (
    r"[^\s。，；：！？、,;:!?©]{1,28}(?:网站?|公司|集团|局|政府|委员?会?|[协学商]会|办公[室厅]|医院|学院|大学|中心|"
    r"出版社|杂志社|报社|通讯社|站|厅|部|法院|检察院|研究所|银行|频道|在线|平台)(?!安备|络|标识码|备案)"
)
_LATIN_NAME = (
    r"(?!.*\b(?:shall|must|may|is|are|was|were|will|has|have|had|the|that|which|under|law|act|claims?|infring\w*)\b)"
    r"[a-z][\w.,&' -]{1,60}"
)
_YEARS = r"(?:19|20)\d\d(?!\d|年)(?:\s*[-–—~至,]\s*(?:(?:19|20)?\d\d|今|present|now))*"
_SIGN = r"(?:(?:copyright\s*)?[©Ⓒⓒ]|copyright\s*\(c\))"
_RESERVED = r"all\s+rights\s+reserved\.?"
_RESERVED_OR_NOT = rf"(?:\s*(?:版权所有|{_RESERVED}))?"
_PROSECUTED = r"(?:侵权|翻印|违者|盗版|盗用)必[究纠]"
_REPRINT = r"(?:不得|禁止|严禁|请勿|谢绝)(?:擅自|以任何形式|以任何方式)?转载"
_BARE_NOTICE = rf"未经(?:书面|事先|正式|明确)*(?:授权|许可|允许)[,，\s]*{_REPRINT}"
_DOMAIN = r"(?:www\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|cn|org|net)"
_HOLDER = rf"(?:{_SIGN}|{_YEARS}|{_PROSECUTED}|{_BARE_NOTICE}|{_RESERVED}|(?>{_OFFICE})|{_DOMAIN})"
_RIGHTS = (
    rf"(?:{_OFFICE}\s*)?版权所有者?(?:[\s:：.,，()（）-]*{_HOLDER})*+"
    rf"|{_SIGN}\s*{_YEARS}[\s,.，]*(?:{_OFFICE}|{_LATIN_NAME})?{_RESERVED_OR_NOT}"
    rf"|{_SIGN}\s*(?:{_OFFICE}(?:[\s,]*{_YEARS})?|{_LATIN_NAME}[\s,]{_YEARS}){_RESERVED_OR_NOT}"
    rf"|copyright\s*:?\s*{_YEARS}[\s,]*(?:{_OFFICE}|(?=.*(?:reserved|inc|ltd|llc|corp)){_LATIN_NAME})"
)
_SUFFIX = r"(?:\s?[-–—]\s?\d{1,3})?"
_REGISTER_LABEL = r"(?:(?:网站|ICP)*备案(?:登记)?(?:编号|序号|许可证号|号|信息)?\s*[:：]\s*)?"
_REGISTERS = (
    rf"{_REGISTER_LABEL}[\u4e00-\u9fff]\s?ICP\s?[备证]\s?(?:[A-Z]\d-)?\d{{6,10}}\s?号?{_SUFFIX}"
    rf"|ICP\s?备案(?:编号|序号|号)?\s*[:：]\s*\d{{6,10}}\s?号?{_SUFFIX}"
    rf"|{_REGISTER_LABEL}(?:[\u4e00-\u9fff]\s?)?公网安备\s*\d{{8,}}\s*号?{_SUFFIX}"
    r"|(?:政府)?网站标识码\s*[:：]?\s*[a-z]{0,3}\d{8,12}"
)
_SURNAME = (
    "[王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶苏魏吕丁任沈姚卢姜崔钟谭陆汪范金"
    "石廖贾夏韦付邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔汤]"
)
"""The commonest ones, four people of five: 审核 is followed by what was found as often as by who did it."""
_PERSON = rf"(?:{_SURNAME}[\u4e00-\u9fff]{{1,2}}|{_SURNAME}\s[\u4e00-\u9fff]|[a-z][\w.]{{1,19}})"
_PEOPLE = rf"{_PERSON}(?:[\s、,，/]+{_PERSON}(?![:：]))*"
_COUNTERS = (
    r"(?:浏览|阅读|点击|访问)(?:次数|量|数)\s*[:：]\s*\[?\d[\d,]{0,11}\]?\s*(?:人?次)?"
    r"|(?:浏览|点击)\s*[:：]\s*\d{1,9}\s*人?次"
)
_FONT_SIZES = (
    rf"(?:字体|字号)(?:大小)?\s*[:：](?:{_BETWEEN}(?:特大|超大|大字|中字|小字|[大中小]|A\+|A-|打印)){{2,}}{_BETWEEN}"
    rf"|分享到?\s*[:：](?:{_BETWEEN}{_ANY_BUTTON})++{_BETWEEN}"
)
_EDITORS = rf"(?:责任编辑|责编|编辑)\s*[:：]\s*{_PEOPLE}"
_CERTAIN = rf"(?:{_REGISTERS}|{_RIGHTS}|{_COUNTERS}|{_FONT_SIZES}|{_EDITORS})"

# Those that may be the text's own if no certain one stands beside them.
_LABEL = (
    r"(?:(?:信息|文章|稿件)?来源|稿源|主办(?:单位)?|承办(?:单位)?|协办(?:单位)?|指导单位|技术支持|运行维护|网站维护|"
    r"(?:联系|单位|公司)?地址|邮编|邮政编码|(?:联系|客服|服务|举报|监督)?电话|热线|传真|邮箱|e-?mail|(?:增值电信业务)?经营许可证)"
)
_DAY = r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?(?:\s+\d{1,2}:\d{2}(?::\d{2})?)?"
_UNCERTAIN = (
    rf"(?:{_LABEL}\s*[:：]\s*[^\s。，；！？:：|｜]{{1,40}}"
    rf"|(?:作者|发布人|发布者|供稿|摄影|审核|校对|监制|记者)\s*[:：]\s*{_PEOPLE}"
    rf"|(?:(?:(?:发布|更新|发表)?(?:时间|日期)|发布于?)\s*[:：]?\s*)?{_DAY}|{_BUTTON}|打印|关闭|{_RESERVED})"
)
_APART = r"[\s|｜/·,，()（）【】\[\]-]"
_HEAD_OR_FOOTER = (
    rf"{_NO_STATEMENT}{_APART}*(?:{_UNCERTAIN}{_APART}+)*{_CERTAIN}(?:{_APART}+(?:{_CERTAIN}|{_UNCERTAIN}))*{_APART}*"
)

# Notices: who may reprint, whom to tell, what to scan.
_OWNERS = (
    r"(?:本网站?|本站|本报|本刊|本社|本平台|本公众号|我们|我网|我站|站长|[\u4e00-\u9fff]{1,10}(?:网站?|在线))"
    r"(?:书面|事先|正式|明确)*(?:授权|许可|同意|允许)"
)
_MAY_REPRINT = (
    rf"{_BARE_NOTICE}[!！]?(?:[,，\s]*{_PROSECUTED}[!！]?)?",
    r"(?:版权声明|声明|版权所有|本文|本站|本网站?|以上|所有|全部|原创|文章|内容|图片|作品|均为?|的|和|及|、|[:：,，\s])*+"
    rf"未经{_OWNERS}[,，\s]*(?:任何(?:单位|媒体|网站|组织|机构|个人|其他|[、或和及与者])+)?(?:均|一律)?{_REPRINT}"
    r"(?:[、,，或和及]*(?:复制|摘编|引用|链接|镜像|抄袭|使用|传播|改编))*"
    rf"(?:本[站网](?:的)?(?:任何)?(?:内容|文章|图片))?[。!！]?(?:{_PROSECUTED}[。!！]?)?",
)
_TELL_US = (
    r"(?=.*侵权.*(?:请|我们|本站|站长|小编|管理员))(?=.*侵权.*(?:联系|删除|告知|通知))"
    r"(?:免责声明|版权声明|声明|注|本文|文章|本站|本网站?|部分|图片|图文|文字|素材|内容|资料|信息|转载|以上|来源|来自|源|于|自|"
    r"互联网|网络|网友|整理|上传|和|及|与|、|的|均|系|仅供|学习|参考|交流|使用|版权|归|原?作者|所有|属于|[:：,，。；;()（）*※\s])*+"
    r"(?:如果|如|若)(?:有|涉及|存在)?侵权(?:行为|问题|之处)?的?"
    r"(?:请|烦请|敬请|及时|立即|立刻|尽快|第一时间|与|跟|向|我们|我站|本站|本网站?|站长|小编|管理员|后台|客服|"
    r"联系|告知|通知|留言|删除|处理|撤下|下架|予以|进行|将|会|即|做|[,，。!！)）\s])++"
)
_TO_SCAN = (
    rf"{_NO_STATEMENT}(?=.*扫.*(?:关注|分享|打开|下载|阅读|公众号|手机))[（(【\[]?"
    r"(?:微信|手机|请|使用|用|打开|欢迎|长按|识别|或|[,，\s])*+(?:扫一扫|扫码|扫描(?=.*二维码))"
    r"(?:关注[\u4e00-\u9fffa-z0-9“”\"]{1,16}?(?:公众号|公众平台|订阅号|服务号|视频号|客户端|官方微[信博])|"
    r"[上下左右]方|[左右]侧|以下|此|二维码|关注|我们|本站|本网|微信|官方|微博|公众号|公众平台|订阅号|服务号|视频号|客户端|app|"
    r"手机|移动端|端|[上在到]|朋友圈|分享|打开|查看|浏览|阅读|当前|本?网?页面?|本|文章|原文|全文|更多|精彩|内容|资讯|"
    r"获取|最新|下载|安装|或|和|即可|[:：,，、\s])*+[。!！]?[)）】\]]?"
)


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


_PAGE_NUMBER: Final = _any_of(*_PAGE_NUMBERS)
_OPENED: Final = _any_of(*_WHERE, *_BUTTONS, *_PAGE_NUMBERS, _RESERVED)
"""Lines that differ from others in their first characters, so that these patterns fail at once."""
_FOOTER_MARKS = (
    "ICP", "icp", "网安备", "标识码", "版权所有", "©", "Ⓒ", "ⓒ", "opyright", "OPYRIGHT", "浏览", "点击",
    "阅读量", "阅读次", "阅读数", "访问量", "访问次", "访问数", "字体", "字号", "分享", "编辑", "责编",
)  # fmt: skip
_FOOTER, _NOTICE = _any_of(_HEAD_OR_FOOTER), _any_of(*_MAY_REPRINT, _TELL_US, _TO_SCAN)
_MARKED: Final = (
    *((mark, _FOOTER) for mark in _FOOTER_MARKS),
    *((mark, _NOTICE) for mark in ("转载", "侵权", "扫一扫", "扫码", "扫描")),
)
"""What a line holds somewhere if one of those patterns matches it that begin with anything."""


def is_site_line(line: str) -> bool:
    """Whether the whole line is nothing but boilerplate.

    Example:
        >>> is_site_line("来源：司法部 浏览次数：123"), is_site_line("浏览量: 12次为一疗程")
        (True, False)
    """
    return _OPENED.fullmatch(line) is not None or any(
        pattern.fullmatch(line) for mark, pattern in _MARKED if mark in line
    )


def is_page_number(line: str) -> bool:
    """Whether the whole line is the number of a page."""
    return _PAGE_NUMBER.fullmatch(line) is not None
