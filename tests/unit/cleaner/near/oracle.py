"""An independent, slow way to say what two texts of law must agree in; shares no code and no table with the guard."""

import re

NOT_A_NUMBER = re.compile(
    "一般|统一|一定|一律|一致|一切|同一|一经|一旦|一并|一起|一步|唯一|单一|另一|某一|任一|每一|这一|该一|一体|一些|一样|一直|一贯|一概|逐一"
    "|专一|划一|一同|一道|一向|一带|一再|一系列|一线"
)
NOT_NEGATED = re.compile("没收|罚没|埋没|淹没|沉没|吞没")
PART_OF = re.compile("(百|千|万)分之([0-9.]+|[零〇一二三四五六七八九十百千]+)")
NUMBER = "[0-9]+(?:[.][0-9]+)?[百千万亿]*|[零〇一二两三四五六七八九十百千万亿]+"
TOKEN = re.compile(
    f"(?P<number>{NUMBER})(?P<unit>[年月日天元倍条款项人名%‰‱])?"
    "|(?P<negation>不得|没有|不|未|无|非|否|禁止|严禁|勿|毋|免除|免予|免于|除外)"
    "|(?P<modal>应当|必须|可以|允许|准许|只能|或者|并且|并处|以上|以下|以内|以外|以前|以后|超过|高于|低于)"
    "|(?P<opposite>左侧|右侧|术前|术后|餐前|餐后|饭前|饭后|口服|外用|升高|降低|良性|恶性|异常|从重|从轻|加重|减轻|主犯|从犯|累犯|过失|原告|上诉|申诉"
    "|急性|慢性|减少|至多|至少|延后|推迟|提前|轻伤|重伤|既遂|上午|下午|年初|年末|年底|月初|月底|季初|季末|去年|今年|农历|公历|连带|按份|吊销|注销"
    "|终止|中止|承租|受托|受让|债务|境外|罚金|拘役|缓刑|甲方|乙方|丙方|甲类|乙类|丙类|甲级|乙级|丙级|甲等|乙等|丙等|每分|每小|年利|月利|日利)"
)
DIGITS = ("零〇", "一", "二两", "三", "四", "五", "六", "七", "八", "九")
VALUES = {character: value for value, row in enumerate(DIGITS) for character in row}
WIDTHS = str.maketrans("０１２３４５６７８９．％", "0123456789.%", " 　")
MULTIPLIERS = {"百": 100, "千": 1000, "万": 10**4, "亿": 10**8}


def differences_that_count(text: str) -> list[tuple[str, str]]:
    """The numbers (by value, with what they count), negations and modal words of a text, in order."""
    text = NOT_NEGATED.sub("某", NOT_A_NUMBER.sub("某", text.translate(WIDTHS)))
    text = PART_OF.sub(lambda part: part[2] + {"百": "%", "千": "‰", "万": "‱"}[part[1]], text)
    found = []
    for match in TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if match["number"]:
            found.append(("number", f"{value(match['number'])}{match['unit'] or ''}"))
        else:
            found.append((kind, match[0]))
    return found


def value(written: str) -> str:
    plain = re.fullmatch("([0-9.]+)([百千万亿]*)", written)
    if plain:
        number = float(plain[1])
        for multiplier in plain[2]:
            number *= MULTIPLIERS[multiplier]
        return f"{number:.6f}"
    if all(one in VALUES for one in written):
        return f"{float(''.join(str(VALUES[one]) for one in written)):.6f}"
    return f"{float(multiplied(written)):.6f}"


def multiplied(written: str) -> int:
    for unit, factor in (("亿", 10**8), ("万", 10**4), ("千", 1000), ("百", 100), ("十", 10)):
        before, found, behind = written.rpartition(unit)
        if found:
            return (multiplied(before) if before else 1) * factor + (multiplied(behind) if behind else 0)
    return int("".join(str(VALUES[one]) for one in written))
