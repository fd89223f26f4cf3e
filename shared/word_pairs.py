"""What is never changed: words that are both right and differ in one character, and characters that carry meaning.

A group lists words of one length; none of them is ever changed into another of its group, in either direction. A group of single
characters holds wherever they stand.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

LEGAL_WORDS = """
终止 中止
定金 订金
权利 权力
权益 权宜
抵押 质押
上缴 上交
其他 其它
账户 帐户
账目 帐目
账簿 帐簿
账号 帐号
转账 转帐
记账 记帐
做出 作出
做为 作为
法制 法治
法人 法院
登陆 登录 登记
受权 授权
必须 必需
反映 反应
化妆 化装
侦查 侦察
询问 讯问
检查 检察
拘留 居留 拘役
扣留 扣押
交付 缴付
交纳 缴纳
交费 缴费
受理 审理
受审 收审
申诉 申述 上诉
起诉 公诉 控诉
过失 过时
效力 效率 效益
实施 实行 施行
实时 适时
制定 制订 指定
拟定 拟订
审定 审订
修订 修定
订立 签订 签定
界限 界线
期限 期间
截止 截至
以至 以致
通信 通讯
监护 监管
监事 监视
董事 懂事
股权 股份
债权 债券 债务
期权 弃权
公证 公正
公示 公事 公式 公司
鉴定 鉴别
认定 认证 人证
质证 执政
罚金 罚款
赔偿 补偿
偿还 偿付
租赁 租借
承包 承保
承办 承包
违反 违犯
违约 违法
行使 行驶 形式
刑事 形式 形势 行事
刑法 刑罚
处罚 惩罚 处分
撤销 撤消
撤诉 撤回
吊销 注销
核实 核准 核对
合适 核实
决定 裁定
裁决 裁判 裁定
复议 复核 覆核
抗辩 抗诉 答辩
辨认 辩认
辨别 分辨 分辩
营利 盈利 赢利
利率 利润 利息
预算 决算 预售
结算 清算 决算
资金 基金
资产 资本
原告 被告
有权 无权
有效 无效
有期 无期
有偿 无偿
合法 违法 非法
合伙 合作
和解 调解
遗嘱 遗属 医嘱
收养 抚养 赡养 扶养
抚养 扶养
抚养费 扶养费 赡养费
抚恤 抚育
夫妻 夫妇
缓刑 减刑 加刑
主犯 从犯 共犯
正当 正常
防卫 防护
受贿 行贿 索贿
伪造 变造
渎职 失职
职务 职责 职权
执业 职业 置业 执行
驳回 退回
送达 传达
查封 查扣
担保 保证 保释
占有 占用
使用 适用 试用
受益 收益
收入 收录
推定 推断
权属 全属
国籍 国际
境内 境外
进口 出口
借款 贷款
金额 余额 全额 差额
数额 数量
起止 起至
记名 署名
汇票 本票 支票
承兑 承付
出资 投资
注册 注销
住所 场所
身份 身分
成份 成分
部分 部份
授予 授与
给予 给与
赋予 付与
交待 交代
订货 定货
订购 定购
定做 定作
预订 预定
包含 包涵
涉及 设计
事故 世故
违章 违纪
主持 主张
启用 起用
启示 启事 起誓
委任 委托
协定 协议
批准 标准
审查 审察
考查 考察
勘查 勘察
勘验 检验 查验
事实 实施
罪行 罪刑
服刑 服役
型式 形式
印制 印章
专有 专用
公用 公共
共有 公有 国有 私有
公诉人 上诉人 起诉人
受让人 受益人 受托人 收益人
出让人 出租人 出借人
委托人 受托人
抵押人 质押人
抵押权 质押权
抵押物 质押物
质权 债权 职权
质权人 债权人
债权人 债务人
保证人 保险人
承包人 承租人 承运人
要约 邀约
履行 旅行
缔约 履约
"""
"""Words of law and of the statutes' own style."""

MEDICAL_WORDS = """
综合征 综合症
适应症 适应证 适应征
禁忌症 禁忌证 禁忌征
反流 返流
粘膜 黏膜
粘液 黏液
粘连 黏连
淤血 瘀血
瘀斑 淤斑
淤积 瘀积
症状 征状
证候 症候
急性 慢性
良性 恶性
阳性 阴性
心率 心律
心机 心肌 心悸 心急
血型 血行 血性
肌酐 肌苷
尿素 尿酸
血清 血浆
血压 血糖 血脂
心室 心房
剂量 计量
病例 病历 病理 病历
病史 病室
病因 病情 病程
复查 复诊
腹泻 腹胀
便秘 便血
抗体 抗原
激素 激酶
甲亢 甲减
骨折 骨裂
妊娠 分娩
流产 早产
利尿 利胆
口服 外服 内服
外敷 外用
肌注 静注
皮下 皮内
鞘内 腔内
注射 注视
疗程 流程
治疗 诊疗 医疗
配制 配置 配伍
制剂 试剂
药剂 药品 药物
器械 机械
植入 置入
植皮 植被
泛昔洛韦 伐昔洛韦 法昔洛韦
青霉素 氯霉素 红霉素 阿霉素
塞庚啶 赛庚啶
美沙拉秦 美沙拉嗪
氨基 胺基
氨酸 胺酸
磷酸 膦酸
"""
"""Words of medicine, spelling variants that are both in use included."""

CHARACTER_GROUPS = """
他 她 它
做 作
账 帐
订 定
交 缴
撤 彻
征 症
型 性 形
瘀 淤 郁
粘 黏
返 反
份 分
象 像 相
脂 酯 质 酸
氨 胺 铵
醇 酮 醛 酚 酐
烷 烯 炔 烃 羟 羰
苷 甙 酐
炎 癌
钠 钾 钙 镁 钡
氯 氟 溴 碘
硫 磷 硝 硒
锂 锌 锰
颈 茎 胫 经 筋
指 趾
腓 肺
颌 颚 额
肱 股
史 室
"""
"""Characters that a word or the name of a substance may have as well as the other."""

NUMERALS = frozenset("〇零一二两三四五六七八九十百千万亿壹贰叁肆伍陆柒捌玖拾佰仟双单半几第甲乙丙丁戊己庚辛壬癸")
NEGATIONS = frozenset("不无未非否没勿莫毋禁免")
MODALS = frozenset("应须得必可能当宜许需要")
PROTECTED = NUMERALS | NEGATIONS | MODALS
"""A correction never takes one of them away and never puts one in."""

FUNCTION_CHARACTERS = frozenset(
    "的地得了着过是在有和与及或为被把对从向由于以之其所而且则若如因将已曾仍又再才就都也还只各每该此这那本另来去到给用让使令"
    "自时间里起会准我你您他她它们个些么吗呢吧啊呀哦很太最更较按据凡经并但跟同比等史者内外前后上下中旁侧"
)
"""Characters that are words by themselves: next to a term they belong to the sentence and are no slip of the term."""

COORDINATING = frozenset("的地得了和与及或在是")
"""Those that a slip is not corrected into either: 糖尿病喝高血压的药 is no slip of 糖尿病和高血压."""


def partners(groups: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Return each word with the others of its groups.

    Args:
        groups: Words that are all right, separated by spaces.

    Example:
        >>> partners(["终止 中止"])["终止"]
        frozenset({'中止'})
    """
    known: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        words = group.split()
        for word in words:
            known[word].update(other for other in words if other != word)
    return {word: frozenset(others) for word, others in known.items()}


NEVER_CHANGED = partners(f"{LEGAL_WORDS}{MEDICAL_WORDS}{CHARACTER_GROUPS}".strip().splitlines())
