"""Numbers as Chinese texts write them: 3, ３, 三, 叁, 三十, 3.5, 1,000, 10万, 二〇二〇; each of their characters is a symbol."""

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final

DIGITS: Final = (
    "0０零〇○",
    "1１一壹",
    "2２二两贰貳",
    "3３三叁",
    "4４四肆",
    "5５五伍",
    "6６六陆",
    "7７七柒",
    "8８八捌",
    "9９九玖",
)
TENS: Final = ("廿", "卅", "卌")
"""20, 30 and 40 in one character."""
MULTIPLIERS: Final = ("十拾", "百佰", "千仟", "万萬", "亿億")
POINT: Final = ".．"
COMMA: Final = ","
ARABIC: Final = "0123456789０１２３４５６７８９"

ZERO_SYMBOL: Final = 1
FIRST_MULTIPLIER: Final = 11
POINT_SYMBOL: Final = 16
COMMA_SYMBOL: Final = 17
FIRST_TENS: Final = 18
SYMBOL_BITS: Final = 5
MAX_PACKED: Final = 12
"""Symbols of a run that fit into 64 bits."""
MAX_PLAIN_DIGITS: Final = 18
"""Digits of a number that fits into 64 bits."""

GROUPED: Final = re.compile(r"[0-9]{1,3}(,[0-9]{3})+([.][0-9]+)?[十百千万亿]*")
"""A number whose commas are there to be read more easily."""

_FACTORS: Final = {11: 10, 12: 100, 13: 1000, 14: 10**4, 15: 10**8}
_TENS: Final = {FIRST_TENS + at: (ZERO_SYMBOL + 2 + at, FIRST_MULTIPLIER) for at in range(len(TENS))}
_CHARACTERS: Final = " 0123456789十百千万亿.,廿卅卌"


def symbols() -> dict[str, int]:
    """Return the symbol of each character that numbers are made of.

    These are 1 to 10 for the digits, 11 to 15 for 十 to 亿, 16 for the point, 17 for the comma, 18 to 20 for 廿 to 卌.
    """
    rows = [*DIGITS, *MULTIPLIERS, POINT, COMMA, *TENS]
    return {character: number for number, row in enumerate(rows, 1) for character in row}


@lru_cache(maxsize=1 << 16)
def packed_number(packed: int) -> int:
    """Return `number` of a run of at most 12 symbols, the first one in the lowest 5 bits."""
    run = []
    while packed:
        run.append(packed & ((1 << SYMBOL_BITS) - 1))
        packed >>= SYMBOL_BITS
    return number(run)


def number(run: list[int]) -> int:
    """Return the whole number that a run of symbols writes, below 10^18; of any other 2^63 plus a hash of its digits."""
    digits = normal(run)
    if digits.isdecimal() and len(digits) <= MAX_PLAIN_DIGITS:
        return int(digits)
    return int.from_bytes(blake2b(digits.encode(), digest_size=8).digest(), "little") | 1 << 63


def normal(run: list[int]) -> str:
    """Return the number in digits, a run that is no number as it is written."""
    run = [part for symbol in run for part in _TENS.get(symbol, (symbol,))]
    written = "".join(_CHARACTERS[symbol] for symbol in run)
    if COMMA_SYMBOL in run:
        is_grouped = GROUPED.fullmatch(written)
        return normal([symbol for symbol in run if symbol != COMMA_SYMBOL]) if is_grouped else written
    if POINT_SYMBOL in run:
        return _decimal(run, written)
    value = _whole(run)
    return written if value is None else str(value)


def _decimal(run: list[int], written: str) -> str:
    """Return 3.50 as 3.5, and 1.5万 as 15000."""
    end = len(run)
    factor = 1
    while end and run[end - 1] in _FACTORS:
        end -= 1
        factor *= _FACTORS[run[end]]
    whole, _, part = written[:end].partition(".")
    if not (whole + part).isdecimal() or not part:
        return written
    digits = int(whole + part) * factor
    quotient, rest = divmod(digits, 10 ** len(part))
    return f"{quotient}.{rest:0{len(part)}d}".rstrip("0").rstrip(".")


def _whole(run: list[int]) -> int | None:
    """Return the value of 二百零三万五千 or 2020; None: how 一万二 is meant (12,000) or what is no number."""
    if not run:
        return 0
    largest = max(run)
    if largest < FIRST_MULTIPLIER:
        return int("".join(str(symbol - ZERO_SYMBOL) for symbol in run))
    at = len(run) - 1 - run[::-1].index(largest)
    before, behind = run[:at], run[at + 1 :]
    if largest > FIRST_MULTIPLIER and len(behind) == 1 and behind != [ZERO_SYMBOL]:
        return None
    left, right = _whole(before) if before else 1, _whole(behind)
    if left is None or right is None:
        return None
    return left * _FACTORS[largest] + right
