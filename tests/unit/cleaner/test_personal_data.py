import random

import pytest

from services.cleaner.core.steps.joined import JoinedTexts
from services.cleaner.core.steps.personal_data import (
    MASKS,
    NUMBERS,
    PersonalKind,
    find_personal_data,
    has_luhn_digit,
    is_identity,
    mask,
    needs,
)

RNG = random.Random(7)


def identity(rng: random.Random) -> str:
    stem = f"{rng.choice(('110101', '310115', '440305'))}{rng.randint(1930, 2020)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    stem += f"{rng.randrange(1000):03}"
    return next(stem + check for check in "0123456789X" if is_identity(stem + check))


def card(rng: random.Random, first: str, length: int) -> str:
    stem = first + "".join(rng.choices("0123456789", k=length - len(first) - 1))
    return next(stem + check for check in "0123456789" if has_luhn_digit(stem + check))


IDENTITIES = [identity(RNG) for _ in range(20)]
CARDS = [
    card(RNG, first, length)
    for first, length in (("6222", 19), ("6228", 16), ("4", 16), ("53", 16), ("3528", 16), ("60", 17))
]
PHONES = [
    "13800138000", "138-0013-8000", "138 0013 8000", "+86 13800138000", "+8613800138000", "0086-13800138000", "19912345678",
    "010-62345678", "0870-2830004", "（010）62345678", "(0755) 26345678", "021 62345678-802", "+86-10-62345678",
    "010-62345678转123", "138－0013－8000", "138−0013−8000", "010－62345678", "138 001 38000", "138.0013.8000", "010 6234 5678",
    "0571-8765 4321",
    "1391 234 5678", "1391-234-5678", "1391234 5678", "139 12345678", "139-12345678", "13912 345678", "+86(139)12345678",
    "+86 1391234 5678", "0086 139 12345678", "+86（139）1234 5678",
]  # fmt: skip

UNTOUCHED = [
    "标的额13800138000元", "￥13912345678", "增加值为15000000000万元", "13800138000.50",
    "（2020）京01民终1234号", "(2019)最高法民申12345678号", "国药准字H20123456", "国药准字Z20123456789号",
    "ICD-10 I21.000，E11.900x001",
    "统一社会信用代码：91110000100006602U", "统一社会信用代码：110101199003070011", "注册号：110101900307123",
    "订单号 6222021234567890128",
    "2020-01-01至2021-12-31", "2020年1月1日12时30分", "GB 11643-1999，GB/T 26341-2010", "第1234567890条", "1,234,567,890",
    "3.14159265358979",
    "12345678", "0123-456", "ISBN 978-7-111-12345-6", "110101199013011234", "010101199001011234", "4111111111111112",
    "9911111111111111",
    "400-820-8820", "12345", "A13800138000", "138001380001234567890", "100000 200000 300000", "东经116.397128度，北纬39.916527度",
    "1级 2级 3级 4级 5级", "血压120-80-90-70，心率60-100", "0001元至100000元的部分",
    "13800138000个", "13800138000公里", "13800138000人民币", "13800138000日元", "13800138000人", "13800138000 平方米",
    "0.4111111111111111", "6.4479999999999995, 6.46", "0.13800138000", "150 200 35000 400", "9.13800138000",
    "192.168.1.100", "1.2.3.4.5.6.7.8",
    "013912345678", "1500000 2000", "150 20000000", "1949 123 4567", "15000 200000", "1391234-5678", "13912-345678",
    "(139)12345678",
    "139 12345678 5", "3 139 12345678", "1391234 5678 91", "1391234 5678元", "￥139 12345678", "139.12345678", "13912.345678",
    "编号：139 12345678", "批号13912 345678", "人口1391234 5678", "合计：139 12345678", "订单号 1391 234 5678",
    "ISBN 139 12345678",
    "银发（2019）139号 12345678", "GB 1391-2345-678", "2019 1391 2345", "1391 234", "139 1234567", "139 123456789",
    "固话费88123456", "电话机88123456台", "热线12345", "电话88123456元", "固话98123456",
]  # fmt: skip


@pytest.mark.parametrize("number", IDENTITIES)
def test_an_identity_number_is_found_and_with_a_digit_changed_it_is_none(number):
    text = f"原告张某，身份证号{number}，住某市。"
    assert find_personal_data(text) == [(9, 27, PersonalKind.IDENTITY)]
    wrong = str((int(number[16]) + 1) % 10)
    assert not find_personal_data(text.replace(number, number[:16] + wrong + number[17]))
    divided = f"{number[:6]} {number[6:14]} {number[14:]}"
    assert mask(divided, NUMBERS)[0] == MASKS[PersonalKind.IDENTITY]


def test_known_check_digits():
    # The example of GB 11643-1999, and the usual test numbers of card issuers.
    assert is_identity("11010519491231002X")
    assert not is_identity("110105194912310021")
    assert all(map(has_luhn_digit, ("4111111111111111", "5555555555554444", "3530111333300000", "79927398713")))
    assert not has_luhn_digit("79927398710")


def test_an_old_identity_number_needs_a_province_and_a_day():
    assert find_personal_data("编号110105491231002。") == [(2, 17, PersonalKind.IDENTITY)]
    assert not find_personal_data("编号110105491331002。")
    assert not find_personal_data("编号190105491231002。")


@pytest.mark.parametrize("number", CARDS)
def test_a_bank_card_is_found_in_a_row_and_in_fours(number):
    fours = " ".join(number[at : at + 4] for at in range(0, len(number), 4))
    for written in (number, fours, fours.replace(" ", "-")):
        assert mask(f"卡号：{written}，开户行", NUMBERS) == ("卡号：[银行卡号]，开户行", {PersonalKind.BANK_CARD: 1})


@pytest.mark.parametrize("number", PHONES)
def test_a_telephone_number_is_found(number):
    for before, after in (("", ""), ("联系电话：", "。"), ("请拨打", "咨询")):
        assert mask(before + number + after, NUMBERS) == (f"{before}[电话]{after}", {PersonalKind.PHONE: 1})


IDENTITY, CARD, PHONE = (MASKS[kind] for kind in NUMBERS)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("13800138000,13900139000", f"{PHONE},{PHONE}"),
        ("440306199003075516,31011519850203004X", f"{IDENTITY},{IDENTITY}"),
        ("4111111111111111,100", f"{CARD},100"),
        ("张三,13800138000,25岁", f"张三,{PHONE},25岁"),
        ("1,13800138000,100", f"1,{PHONE},100"),
        ("2.440306199003075516", f"2.{IDENTITY}"),
        ("4403 0619 9003 0755 16", IDENTITY),
        ("440 306 1990 0307 5516", IDENTITY),
        ("31011519850203004 X", IDENTITY),
        ("123456 789012 345678 440306199003075516", f"123456 789012 345678 {IDENTITY}"),
        ("622202 1000112233449", CARD),
        *((f"4111111111111111{word}", CARD + word) for word in ("个人账户", "人民币", "公司", "元")),
        ("6222021000112233449日内", f"{CARD}日内"),
        *((f"13800138000{word}", PHONE + word) for word in ("公司", "年费", "个人", "人事部", "日内")),
        ("电话：6234 5678", f"电话：{PHONE}"),
    ],
)
def test_neither_columns_nor_groups_nor_the_word_behind_hide_a_number(text, masked):
    assert mask(text, NUMBERS)[0] == masked
    assert needs(JoinedTexts.of([text]), NUMBERS).all()


@pytest.mark.parametrize(
    "number",
    [
        *(
            "013912345678",
            "0139 1234 5678",
            "139 1234 56 78",
            "1391234-5678",
            "13912-345678",
            "1949 123 4567",
            "150 20000000",
        ),
        *("88123456", "8812 3456", "6234567", "057188123456"),
    ],
)
@pytest.mark.parametrize(
    "word",
    ["手机：", "手机号", "手机号码：", "固话", "固定电话", "电话", "电话：", "座机", "传真", "服务热线：", "Tel: "],
)
def test_behind_a_word_for_telephones_a_number_may_be_grouped_in_any_way(word, number):
    assert mask(f"{word}{number}，", NUMBERS) == (f"{word}[电话]，", {PersonalKind.PHONE: 1})
    assert needs(JoinedTexts.of([f"{word}{number}"]), NUMBERS).all()


def test_a_local_number_needs_a_word_that_says_what_it_is():
    assert mask("电话：62345678，传真 6234567", NUMBERS)[0] == "电话：[电话]，传真 [电话]"
    assert mask("共62345678，计6234567", NUMBERS)[0] == "共62345678，计6234567"


@pytest.mark.parametrize("text", UNTOUCHED)
def test_what_only_looks_like_personal_data_stays(text):
    assert find_personal_data(text) == []
    assert find_personal_data(f"依照规定，{text}，予以核准。") == []


def test_e_mail_is_masked_only_if_asked_for():
    text = "请发至zhang.san@example.com.cn，或a@b"
    assert mask(text, NUMBERS) == (text, {})
    assert mask(text, tuple(PersonalKind)) == ("请发至[邮箱]，或a@b", {PersonalKind.EMAIL: 1})


def test_every_kind_in_one_text_by_place():
    text = f"张某（{IDENTITIES[0]}）电话13800138000，卡{CARDS[0]}，a@b.cn；13900139000。"
    found = find_personal_data(text)
    kinds = [PersonalKind.IDENTITY, PersonalKind.PHONE, PersonalKind.BANK_CARD, PersonalKind.EMAIL, PersonalKind.PHONE]
    assert [item.kind for item in found] == kinds
    assert [text[item.start : item.end] for item in found] == [
        IDENTITIES[0],
        "13800138000",
        CARDS[0],
        "a@b.cn",
        "13900139000",
    ]


def test_the_guard_misses_no_number():
    texts = [
        f"甲{number}乙"
        for number in (*IDENTITIES, *CARDS, *PHONES, "110105491231002", "电话：62345678", "电话 6234567")
    ]
    assert needs(JoinedTexts.of(texts), NUMBERS).all()
    assert not needs(JoinedTexts.of(["2020年12月31日起施行", "甲", "", "a@b.cn", "第12条第3款"]), NUMBERS).any()
    assert needs(JoinedTexts.of(["甲", "a@b.cn"]), tuple(PersonalKind)).tolist() == [False, True]
