"""How well general words and terms are told apart: hand-marked words of statutes and of patients' letters. Not part of the tests.

python -m tests.benchmarks.lexicon_generality [--data FOLDER] [--half held-out]

FOLDER holds zh_med_qa_internal/, zh_med_ner_cmedqaner/ and zh_med_text_cls/; without it medicine is skipped. The numbers of
`services.tokenizer_builder.core.generality` were chosen by looking at the first half of each list only; the other is measured on.
The peer is contrast with general frequencies alone, in the same run: it is the rule where nothing is known of the corpus's parts.
Precision is the share of terms among the marked words that are kept, so it depends on how many of each kind were marked: as many.
"""

import argparse
import gzip
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.tokenizer_builder.core.judging import mined
from services.tokenizer_builder.core.spread import parts_of
from services.tokenizer_builder.generals import general_text
from services.tokenizer_builder.settings import LexiconRules
from shared.demo.statutes import load_statutes


def words(text: str) -> list[str]:
    return text.split()


LAW_GENERAL = words("""
规定 有关 人员 本法 应当 依法 部门 管理 机构 单位 组织 保护 监督 措施 违反 负责 采取 个人 信息 实施 设施
标准 下列 规划 造成 符合 开展 从事 区域 情形 前款 检查 鼓励 办理 事项 场所 之日起 费用 通知 工作人员 危害
预防 健全 遵守 书面 范围内 协助 建立健全 优先 采取措施 统筹 纳入 手续 金额 收到 收集 提交 违反本法
违反本法规定 前款规定 有关部门 有关规定 国家有关 国家有关规定 部门会同 会同有关 本法规定 期限内 区域内 国家建立
国家鼓励 另有规定 符合国家 组织开展 组织实施 职责范围内 本行政区域内 百分之 合理 所在 定期 会同 物品 作业 负有
具体办法 防范 便利 用途 储存 包装 告知 损坏 相适应 退还 显著成绩 必要措施 正当理由 移交 报请 符合规定
依法办理 停止使用 妥善安置 密切联系 统筹兼顾 征求意见 添加 改正 环境 安全 服务 保障 评估 审核 监测 处置 修复
同级 主要负责人 方可 报经 少于 划定 出具 分工 条款 不予 提起 按照国家 国家加强 国家支持 国家实行 由省 经批准
情况 问题 其他 或者 进行 提供 使用 工作 需要 及时 加强 重大 发现 确定 主要 建议 提高 影响 活动 发展 要求
""")
LAW_TERMS = words("""
国务院 人民法院 人民检察院 人民政府 公安机关 行政处罚 行政许可 行政复议 行政法规 行政诉讼 民事诉讼 刑事诉讼
当事人 诉讼 仲裁 合同 债权 债务 债权人 债务人 抵押 抵押权 质押 质权 留置权 担保 保证人 用益物权 所有权
使用权 不动产 动产 知识产权 著作权 专利权 商标 注册商标 专利权人 股东 董事 监事 上市公司 有限责任公司
股份有限公司 公司章程 破产 清算 破产管理人 合伙人 法人 非法人组织 自然人 监护人 代理人 委托人 受托人 继承人
遗嘱 配偶 婚姻 收养 侵权责任 赔偿责任 损害赔偿 违约金 定金 要约 格式条款 诉讼时效 管辖 起诉 上诉 判决 裁定
调解书 执行标的 被告人 犯罪嫌疑人 有期徒刑 无期徒刑 拘役 管制 罚金 没收财产 剥夺政治权利 缓刑 假释 减刑 累犯
自首 取保候审 监视居住 拘留 逮捕 罪犯 刑罚 贪污 受贿 盗窃 诈骗 走私 洗钱 反洗钱 检察官 法官 审判员
人民陪审员 合议庭 辩护人 律师 公证 立案 侦查 证据 鉴定人 海事请求 船舶优先权 承运人 托运人 提单 保险人
被保险人 投保人 保险费 信托 汇票 持票人 背书 证券 期货 增值税 纳税人 税务机关 海关 国有资产 土地承包经营权
宅基地 农村集体经济组织 环境影响评价 排污许可证 危险废物 固体废物 特种设备 药品 职业病 劳动合同 用人单位 社会保险
个人信息处理者 国家秘密 人民代表大会 全国人民代表大会 常务委员会 特别行政区 自治区 直辖市 公民 权利 最高人民法院
最高人民检察院 检察长 审判 情节严重 违法所得 吊销 责令停产停业 营业执照 领土完整 引渡 国籍 签证 预备役 反垄断
不正当竞争 经营者
""")
MED_GENERAL = words("""
建议 需要 功能 严重 留意 保持 控制 再次出现 仔细检查 引来 身体 您好 防止 实施 注意 健康 致使 始终保持 期望
去医院 效果 看重 发觉 彻底 引发 最好 水果 蔬菜 配合 增强 规律 谢谢 正规 协助 散播 知晓 宝宝 怎么办 携带
叙述 日常生活 绝不会 想问 互相配合 再次发生 危害 愉快 段时间 到医院 医生说 表现出 查出来 看一看 小孩 老公
没什么 考量 比如说 重新调整 觉着 长时间 新鲜 碰触 增进 推测 想知道 怎么回事 很难 确认 用不着 你好 良好 心情
才能 直面 有点 定期 常见 不适 查出 带给 很好 过度 不易 有时候 很高 家人 很重要 一般来 专心 问问 情况 如果
什么 现在 生活 可能 根据 及时 一定 主要 许多 时间 问题 原因 目前 影响 非常
""")
MED_TERMS = words("""
乙肝 血压 癫痫 高血压 糖尿病 感染 肝硬化 胃炎 肝炎 肝功能 大三阳 小三阳 手术 乙肝病毒 慢性 免疫 抗体 血糖
疫苗 胃胀 阳性 脂肪肝 血管 肿瘤 维生素 过敏 麻醉 疼痛 知情同意书 急性 抗病毒 降压药 乙肝疫苗 转氨酶 妊娠
胃镜 杆菌 代谢 溃疡 心脏 并发症 肾功能 受试者 动脉 抗原 哺乳期 激素 阴性 胰岛素 幽门螺杆菌 免疫力 静脉 腹水
诊断标准 临床试验 脑血管 消化道 恶性肿瘤 免疫球蛋白 浅表性胃炎 表面抗原 粘膜 内分泌 甲状腺 衰竭 综合征 肝病
中药 炎症 用药 化疗 肝癌 凝血 食管 血脂 血清 三叉神经 胃溃疡 水肿 血常规 脑神经 关节炎 白血病 动脉粥样硬化
苯妥英钠 中性粒细胞 肾结石 受体阻滞剂 钙离子拮抗剂 心律失常 黄疸 静脉曲张 股骨头 起搏器 干细胞移植 银屑病 低血压
中风 门诊 病变 病灶 肝细胞 疗效 症状 诊断 治疗 药物 疾病 器官
""")
SEED = 11
HALVES = {"for-choosing": 0, "held-out": 1}
KEPT = {"not filtered": ("accepted", "proposed"), "accepted": ("accepted",)}


@dataclass(frozen=True)
class Marked:
    """Texts, the part of the corpus that each belongs to, and words that a person marked."""

    name: str
    texts: list[str]
    parts: list[str | None]
    general: list[str]
    terms: list[str]


def half_of(words: Sequence[str], half: int) -> list[str]:
    shuffled = sorted(set(words))
    random.Random(SEED).shuffle(shuffled)
    return shuffled[half::2]


def statutes(*, by_label: bool) -> Marked:
    loaded = load_statutes()
    documents = [*loaded.first, *loaded.later, *loaded.held_back]
    groups = [one.split_group for one in documents]
    parts = parts_of([one.label if by_label else None for one in documents], groups)
    name = "statutes, parts by label" if by_label else "statutes, parts by law"
    return Marked(name, [one.text for one in documents], parts, LAW_GENERAL, LAW_TERMS)


def letters(folder: Path) -> Marked:
    found = list(_medical(folder))
    parts = parts_of([label for label, _ in found], [str(number) for number in range(len(found))])
    return Marked("medicine, parts by label", [text for _, text in found], parts, MED_GENERAL, MED_TERMS)


def _medical(folder: Path) -> Iterator[tuple[str, str]]:
    for row in _rows(folder / "zh_med_qa_internal" / "qa.jsonl.gz"):
        yield row["department"], row["ask"]
        yield row["department"], row["answer"]
    for name in ("zh_med_ner_cmedqaner", "zh_med_text_cls"):
        for row in _rows(folder / name / "train.jsonl.gz"):
            yield row.get("label", "ner"), row["text"]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def measure(marked: Marked, half: int) -> None:
    general, terms = half_of(marked.general, half), half_of(marked.terms, half)
    num_chars = sum(map(len, marked.texts))
    print(f"{marked.name}: {num_chars:,} characters; {len(general)} general words, {len(terms)} terms")
    for name, parts in (("contrast alone", ()), ("contrast and spread", marked.parts)):
        started = time.process_time()
        entries, _ = mined(marked.texts, general_text(None), LexiconRules(), parts)
        took = time.process_time() - started
        status = {entry.term: entry.status for entry in entries}
        for kept, statuses in KEPT.items():
            show(f"{name}, {kept}", general, terms, lambda word, of=statuses, at=status: at.get(word) in of)
        print(f"    {took:.1f} s CPU")


def show(name: str, general: Sequence[str], terms: Sequence[str], is_kept: Callable[[str], bool]) -> None:
    true, false = sum(map(is_kept, terms)), sum(map(is_kept, general))
    precision, recall = true / max(true + false, 1), true / len(terms)
    print(
        f"  {name:<34}precision {precision:.3f}  recall {recall:.3f}  general ones out {1 - false / len(general):.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--half", choices=HALVES, default="held-out")
    arguments = parser.parse_args()
    half = HALVES[arguments.half]
    measure(statutes(by_label=True), half)
    measure(statutes(by_label=False), half)
    if arguments.data:
        measure(letters(arguments.data), half)
    else:
        print("medicine skipped: no --data")


if __name__ == "__main__":
    main()
