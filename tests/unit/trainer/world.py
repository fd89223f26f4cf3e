"""Short real articles of three statutes, one department each, and the store, corpora, tokenizer and jobs around them."""

from dataclasses import dataclass

from contracts.corpus import Document
from services.tokenizer_builder.core import bpe
from services.trainer.core.job import TrainingJob
from services.trainer.core.recipe import Recipe
from shared.artifacts import ArtifactStore
from shared.corpus import is_held_out
from tests.corpora import write_version

ARTICLES = {
    "刑法": (
        "为了惩罚犯罪，保护人民，根据宪法，结合我国同犯罪作斗争的具体经验及实际情况，制定本法。",
        "法律明文规定为犯罪行为的，依照法律定罪处刑；法律没有明文规定为犯罪行为的，不得定罪处刑。",
        "对任何人犯罪，在适用法律上一律平等。不允许任何人有超越法律的特权。",
        "刑罚的轻重，应当与犯罪分子所犯罪行和承担的刑事责任相适应。",
        "对于中华人民共和国缔结或者参加的国际条约所规定的罪行，中华人民共和国在所承担条约义务的范围内行使刑事管辖权的，适用本法。",
        "享有外交特权和豁免权的外国人的刑事责任，通过外交途径解决。",
        "行为在客观上虽然造成了损害结果，但是不是出于故意或者过失，而是由于不能抗拒或者不能预见的原因所引起的，不是犯罪。",
        "已满七十五周岁的人故意犯罪的，可以从轻或者减轻处罚；过失犯罪的，应当从轻或者减轻处罚。",
        "又聋又哑的人或者盲人犯罪，可以从轻、减轻或者免除处罚。",
        "对于被胁迫参加犯罪的，应当按照他的犯罪情节减轻处罚或者免除处罚。",
        "公司、企业、事业单位、机关、团体实施的危害社会的行为，法律规定为单位犯罪的，应当负刑事责任。",
        "单位犯罪的，对单位判处罚金，并对其直接负责的主管人员和其他直接责任人员判处刑罚。本法分则和其他法律另有规定的，依照规定。",
    ),
    "民法商法": (
        "为了保护专利权人的合法权益，鼓励发明创造，推动发明创造的应用，提高创新能力，促进科学技术进步和经济社会发展，制定本法。",
        "申请专利的发明创造涉及国家安全或者重大利益需要保密的，按照国家有关规定办理。",
        "对发明人或者设计人的非职务发明创造专利申请，任何单位或者个人不得压制。",
        "发明专利申请公布后，申请人可以要求实施其发明的单位或者个人支付适当的费用。",
        "国务院专利行政部门收到专利申请文件之日为申请日。如果申请文件是邮寄的，以寄出的邮戳日为申请日。",
        "申请人可以在被授予专利权之前随时撤回其专利申请。",
        "发明专利申请经申请人陈述意见或者进行修改后，国务院专利行政部门仍然认为不符合本法规定的，应当予以驳回。",
        "专利权人应当自被授予专利权的当年开始缴纳年费。",
        "国务院专利行政部门、地方人民政府管理专利工作的部门应当会同同级相关部门采取措施，加强专利公共服务，促进专利实施和运用。",
        "强制许可涉及的发明创造为半导体技术的，其实施限于公共利益的目的和本法第五十三条第（二）项规定的情形。",
        "除依照本法第五十三条第（二）项、第五十五条规定给予的强制许可外，强制许可的实施应当主要为了供应国内市场。",
        "取得实施强制许可的单位或者个人不享有独占的实施权，并且无权允许他人实施。",
    ),
    "社会法": (
        "用人单位应当依法建立和完善规章制度，保障劳动者享有劳动权利和履行劳动义务。",
        "劳动者依照法律规定，通过职工大会、职工代表大会或者其他形式，参与民主管理或者就保护劳动者合法权益与用人单位进行平等协商。",
        "地方各级人民政府应当采取措施，发展多种类型的职业介绍机构，提供就业服务。",
        "劳动者就业，不因民族、种族、性别、宗教信仰不同而受歧视。",
        "残疾人、少数民族人员、退出现役的军人的就业，法律、法规有特别规定的，从其规定。",
        "劳动合同可以约定试用期。试用期最长不得超过六个月。",
        "劳动合同当事人可以在劳动合同中约定保守用人单位商业秘密的有关事项。",
        "劳动合同期满或者当事人约定的劳动合同终止条件出现，劳动合同即行终止。",
        "经劳动合同当事人协商一致，劳动合同可以解除。",
        "用人单位依据本法第二十四条、第二十六条、第二十七条的规定解除劳动合同的，应当依照国家有关规定给予经济补偿。",
        "劳动者解除劳动合同，应当提前三十日以书面形式通知用人单位。",
        "集体合同签订后应当报送劳动行政部门；劳动行政部门自收到集体合同文本之日起十五日内未提出异议的，集体合同即行生效。",
    ),
}
LATER_LABEL = "军事法"
LATER = ("军人依法优先。", "现役军人的婚姻受法律保护。", "军人应当服从命令。", "国家保障军人的权益。")
"""Made up: a class that the first corpus version does not know."""

FAST = Recipe(
    n_layer=1,
    n_head=2,
    n_kv_head=1,
    d_model=32,
    d_ff=48,
    block_size=48,
    first_tokens=20_000,
    min_continued_tokens=2_000,
    max_continued_tokens=2_000,
    min_replay_documents=8,
    tokens_per_batch=256,
    learning_rate=1e-2,
)


@dataclass(frozen=True)
class World:
    """An artifact store with two corpus versions, of which the second adds a class, and a tokenizer."""

    store: ArtifactStore
    url: str
    first_corpus: str
    second_corpus: str
    tokenizer: str

    def job(self, *, corpus=None, parent=None, recipe=FAST, **fields):
        """A job of the first version, or of another one."""
        return TrainingJob(
            artifacts_url=self.url,
            domain="law",
            corpus_digest=corpus or self.first_corpus,
            tokenizer_digest=self.tokenizer,
            parent_bundle_digest=parent,
            recipe=recipe,
            num_threads=1,
            **fields,
        )


def make_world(folder):
    """Make the world in `folder`."""
    url = f"file://{folder}/artifacts"
    store = ArtifactStore(url)
    first = [document(text, label) for label, texts in ARTICLES.items() for text in texts]
    later = [document(text, LATER_LABEL) for text in LATER]
    tokenizer = bpe.train((doc.text for doc in first), vocab_size=1_200, max_token_chars=4)
    one = write_version(store, first)
    two = write_version(store, first, later, number=2, parent=one)
    return World(store, url, one, two, store.put_bytes(bpe.to_json(tokenizer)))


def document(text, label):
    """A document that may be trained on: its group is salted until the split says so."""
    group = next(name for number in range(100) if not is_held_out(name := f"{text}{number}"))
    return Document(document_id=text, text=text, label=label, group=group)
