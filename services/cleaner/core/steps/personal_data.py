"""Numbers that identify a person: resident identity, telephone, bank card, and e-mail addresses if asked for.

A mask names the kind, `[身份证号]`, and nothing else: a model learns that such a number stands there, nobody gets any of it
back, and the step that cuts runs of symbols would cut a mask of asterisks. What only looks like such a number stays: amounts (a
unit follows, which a check digit outweighs), case numbers, approval numbers of drugs, codes of organisations, dates, numbers
with a false check digit.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from datetime import date
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.cleaner.core.steps.joined import Flags, JoinedTexts
from services.cleaner.core.steps.traits import Trait


class PersonalKind(StrEnum):
    """What is masked."""

    IDENTITY = "identity"
    BANK_CARD = "bank-card"
    PHONE = "phone"
    EMAIL = "email"


class PersonalData(NamedTuple):
    """Where personal data stands in a text: characters, end exclusive."""

    start: int
    end: int
    kind: PersonalKind


MASKS: Final = {
    PersonalKind.IDENTITY: "[身份证号]",
    PersonalKind.BANK_CARD: "[银行卡号]",
    PersonalKind.PHONE: "[电话]",
    PersonalKind.EMAIL: "[邮箱]",
}
NUMBERS: Final = (PersonalKind.IDENTITY, PersonalKind.BANK_CARD, PersonalKind.PHONE)

MIN_NUMBER: Final = 7
"""Digits in the shortest number: a telephone number of a small town."""
MAX_SPAN: Final = 10
"""Between the first and the seventh digit of any number lie so many characters at most, what divides them included."""
PROVINCES: Final = frozenset(
    (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66), 71, 81, 82, 83)
)
"""First two digits of an identity number (GB/T 2260), and those of residents from Hong Kong, Macao and Taiwan."""
_WEIGHTS: Final = tuple(2 ** (17 - place) % 11 for place in range(17))
_CHECK_DIGITS: Final = "10X98765432"
FIRST_BIRTH_YEAR: Final = 1880

# A comma divides columns: no thousands are grouped in numbers of so many digits in a row.
_NO_LETTER_BEFORE = r"(?<![0-9A-Za-z_])"
_NO_LETTER_AFTER = r"(?![0-9A-Za-z_])"
_NOT_BEFORE = rf"{_NO_LETTER_BEFORE}(?<!\d\.)"
_NOT_AFTER = rf"{_NO_LETTER_AFTER}(?!\.\d)"
# Whole words: a person (个人), a company (公司) and a fee (年费) are no units.
_UNIT = (
    r"(?!\s*(?:[万亿吨圆倍件%％‰]|元(?![旦月])|股(?![东权份])|份(?!额)|个(?![人体])|人(?![事力员工]|民(?!币))|公[里斤顷吨尺分]|升(?![级职])"
    r"|[美欧日港澳]元|美金|港币|日圆|英[镑里尺寸亩]|平[方米]|立方|千[克米瓦元伏卡升万]|毫[克升米秒]|米|克(?!隆)|秒(?!杀)|票(?![据务])"
    r"|RMB|USD|CNY))"
)
_DASHES = r"\-\u2010-\u2015\u2212\uff0d"
_DASH = f"[{_DASHES} ]"

_IDENTITY = re.compile(
    rf"{_NO_LETTER_BEFORE}[1-8](?:{_DASH}?\d){{16}}{_DASH}?[\dXx]{_NO_LETTER_AFTER}|{_NOT_BEFORE}[1-8]\d{{14}}{_NOT_AFTER}"
)
# UnionPay 62 and 60, Visa 4, Mastercard 51-55 and 2221-2720, JCB 35; in a row, in fours, or with its first four or six apart.
_BANK_CARD = re.compile(
    rf"{_NOT_BEFORE}(?:6[02]|4\d|5[1-5]|2[2-7]|35)\d\d"
    rf"(?:{_DASH}?\d{{12,15}}|\d\d{_DASH}\d{{10,13}}|(?:{_DASH}\d{{4}}){{3}}(?:{_DASH}?\d{{1,3}})?){_NO_LETTER_AFTER}"
)
_COUNTRY = rf"(?:(?:\+|00)?86{_DASH}?)"
_MOBILE = (
    rf"{_NOT_BEFORE}(?<![¥￥$第])\+?{_COUNTRY}?1[3-9]\d"
    rf"(?:\d{{8}}|{_DASH}\d{{4}}{_DASH}\d{{4}}|\.\d{{4}}\.\d{{4}}|{_DASH}\d{{3}}{_DASH}\d{{5}}(?! \d)){_NOT_AFTER}{_UNIT}"
)
_EXTENSION = rf"(?:(?:{_DASH}|转)\d{{1,5}})?"
_LOCAL = rf"[2-8]\d{{2,3}}{_DASH}?\d{{4}}"
_AREA = r"(?:10|2\d|[3-9]\d\d)"
_LANDLINE = (
    rf"{_NOT_BEFORE}(?:{_COUNTRY}?[(（]0{_AREA}[)）]{_DASH}?|{_COUNTRY}?0{_AREA}{_DASH}|\+86{_DASH}?{_AREA}{_DASH})"
    rf"{_LOCAL}{_EXTENSION}{_NOT_AFTER}"
)
# Two groups that may be two numbers as well: with +86 before them, or apart from other digits and not round, as amounts are.
_INTERNATIONAL = rf"{_NOT_BEFORE}(?:\+|00)86{_DASH}?[(（]?1[3-9]\d[)）]?(?:{_DASH}?\d){{8}}{_NOT_AFTER}{_UNIT}"
_LOOSE = (
    rf"(?P<loose>{_NOT_BEFORE}(?<!\d[{_DASHES} .])(?<![¥￥$第])"
    rf"(?:1[3-9]\d{_DASH}\d{{8}}|1[3-9]\d{{5}} \d{{4}}|1[3-9]\d{{3}} \d{{6}}"
    # 1949 and the like are years in a table.
    rf"|(?:1[3-8]\d\d |1[3-9]\d\d[{_DASHES}])\d{{3}}{_DASH}\d{{4}}))(?<!000){_NOT_AFTER}(?![{_DASHES} .]\d){_UNIT}"
)
_NAMED = (
    r"(?:电话|手机|座机|固话|传真|总机|热线|联系方式|[Tt][Ee][Ll]|[Ff][Aa][Xx])(?:号码?)?[^\S\n]*[.:：是为]?[^\S\n]*"
    rf"(?P<bare>(?:0{_AREA}{_DASH}?)?{_LOCAL}{_EXTENSION}|0?1[3-9](?:{_DASH}?\d){{9}})"
)
_PHONE = re.compile(rf"{_MOBILE}|{_LANDLINE}|{_INTERNATIONAL}|{_LOOSE}|{_NAMED}{_NOT_AFTER}{_UNIT}")
_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}(?![\w-])", re.ASCII
)
_ROW = re.compile(rf"[0-9](?:[0-9.() （）{_DASHES}]{{5,}}[0-9X])", re.IGNORECASE)
CONTEXT: Final = 16
"""Characters before and after a row of digits that may belong to its number or say what it is."""
_OTHER_CODE = re.compile(r"(?:信用代码|注册号|机构代码|执照号码?|案号|批准文号|货号|订单号)[^\S\n]*[:：为是]?[^\S\n]*$")
_COUNTED = re.compile(
    r"(?:编号|[批单证文卷]号|条码|ISBN|ISSN|金额|数量|总[额量数]|面积|人口|产[量值]|合计|[共总]计|总共|分别|标准|[A-Za-z]{2}/?T?)"
    r"[^\S\n]*[:：为是]?[^\S\n]*$"
)
"""Before two groups of digits: they are an amount or the number of a thing."""


def needs(joined: JoinedTexts, kinds: Collection[PersonalKind]) -> Flags:
    """Return which documents hold a row of digits that is long enough, or an @ where e-mail is asked for."""
    places = np.flatnonzero(joined.at(Trait.DIGIT))
    # Where a seventh digit follows soon: numbers are seldom enough to look at each of those places.
    near = places[: max(0, len(places) - MIN_NUMBER + 1)]
    near = near[places[MIN_NUMBER - 1 :] - near <= MAX_SPAN]
    flags = joined.documents_at(near[_undivided(joined, near)])
    return flags | joined.has(Trait.AT) if PersonalKind.EMAIL in kinds else flags


def _undivided(joined: JoinedTexts, places: npt.NDArray[np.int64]) -> Flags:
    """Return whether digits or what divides numbers follow each place, as far as the shortest number reaches."""
    within = joined.traits[np.minimum(places[:, None] + np.arange(MIN_NUMBER), len(joined.traits) - 1)]
    flags: Flags = ((within & np.uint32(Trait.DIGIT | Trait.DIGIT_SEPARATOR)) != 0).all(axis=1)
    return flags


def find_personal_data(text: str, kinds: Collection[PersonalKind] = tuple(PersonalKind)) -> list[PersonalData]:
    """Return where the text holds personal data of these kinds, by place, none overlapping another.

    Example:
        >>> find_personal_data("联系电话：13800138000，标的13800138000元")
        [PersonalData(start=5, end=16, kind=<PersonalKind.PHONE: 'phone'>)]
    """
    found: list[PersonalData] = []
    for kind, candidates in _FINDERS:
        if kind in kinds:
            found += [
                PersonalData(*span, kind)
                for span in candidates(text)
                if all(span[1] <= other.start or other.end <= span[0] for other in found)
            ]
    return sorted(found)


def mask(text: str, kinds: Collection[PersonalKind]) -> tuple[str, Counter[PersonalKind]]:
    """Return the text with a mask for each, and how many of each kind there were."""
    found = find_personal_data(text, kinds)
    pieces, at = [], 0
    for start, end, kind in found:
        pieces += [text[at:start], MASKS[kind]]
        at = end
    return "".join([*pieces, text[at:]]), Counter(item.kind for item in found)


def _numbers(
    pattern: re.Pattern[str], text: str, is_one: Callable[[str], bool] = lambda _: True
) -> Iterator[re.Match[str]]:
    """Yield the pattern's matches that are a number, looked for only around rows of digits, which are quick to find."""
    done = 0
    for row in _ROW.finditer(text):
        end = min(len(text), row.end() + CONTEXT)
        done = max(done, row.start() - CONTEXT)
        # A number behind the row belongs to the next one: the end cuts it here.
        while (match := pattern.search(text, done, end)) and match.start() < row.end():
            # What divides digits may divide two numbers, so the next one may begin within what is none.
            if is_number := is_one(re.sub(_DASH, "", match[0])):
                yield match
            done = match.end() if is_number else match.start() + 1


def _is_other_code(text: str, at: int) -> bool:
    """Whether the words before say that the number there is an organisation's, a product's or a case's."""
    return _OTHER_CODE.search(text, max(0, at - CONTEXT), at) is not None


def _is_counted(text: str, at: int) -> bool:
    """Whether the words before say that the number there is an amount, or the number of a thing."""
    return _COUNTED.search(text, max(0, at - CONTEXT), at) is not None


def _identities(text: str) -> Iterator[tuple[int, int]]:
    for match in _numbers(_IDENTITY, text, is_identity):
        if not _is_other_code(text, match.start()):
            yield match.span()


def _bank_cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _numbers(_BANK_CARD, text, has_luhn_digit):
        if not _is_other_code(text, match.start()):
            yield match.span()


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _numbers(_PHONE, text):
        if match["loose"] and (_is_other_code(text, match.start()) or _is_counted(text, match.start())):
            continue
        yield match.span("bare") if match["bare"] else match.span()


def _emails(text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in _EMAIL.finditer(text))


_FINDERS: Final = (
    (PersonalKind.IDENTITY, _identities),
    (PersonalKind.BANK_CARD, _bank_cards),
    (PersonalKind.PHONE, _phones),
    (PersonalKind.EMAIL, _emails),
)


def is_identity(number: str) -> bool:
    """Whether this is a resident identity number: 18 characters with check digit (GB 11643-1999), or the 15 digits of before.

    Both begin with a province and hold a day of birth; the old ones have no check digit.
    """
    if int(number[:2]) not in PROVINCES:
        return False
    if len(number) == 15:  # noqa: PLR2004
        return _is_day(f"19{number[6:12]}")
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number[:17], strict=True))
    return _is_day(number[6:14]) and _CHECK_DIGITS[total % 11] == number[17].upper()


def has_luhn_digit(number: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = (int(digit) * 2 for digit in number[-2::-2])
    return (sum(map(int, number[-1::-2])) + sum(value - 9 * (value > 9) for value in doubled)) % 10 == 0  # noqa: PLR2004


def _is_day(digits: str) -> bool:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).year >= FIRST_BIRTH_YEAR
    except ValueError:
        return False
