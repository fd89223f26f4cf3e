"""How fast the cleaner's steps are, one by one and together, beside the nearest steps of datatrove and Data-Juicer.

Not part of the tests.

python -m tests.benchmarks.cleaning_steps --data FOLDER [--documents 40000] [--peers PYTHON]

FOLDER holds zh_law_corpus/*.jsonl.gz (real statutes); their articles are made 30 % dirty by a seeded rule. PYTHON is an
interpreter with `datatrove ftfy spacy jieba` and `py-data-juicer aiohttp selectolax` installed, since the peers need other
versions than we do. It runs this file by its path, so nothing of ours is imported at the top. CPU time of one process, the best
of three.
"""

import argparse
import gzip
import importlib
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

DIRTY_SHARE = 0.3
BATCH = 2_048
SMALL_BATCH = 500
PEER_DOCUMENTS = 4_000
BAR_RATIO = 5.0
BAR_DOCUMENTS_PER_S = 100_000
ARTICLE = re.compile(r"^第[一二三四五六七八九十百千零〇]+条", re.MULTILINE)
ARTICLE_CHARS = range(20, 501)

CHINESE = "cmn_Hani"

Work = tuple[str, Callable[[], object]]
"""Which steps a peer takes, and a run of them."""

DIRT: tuple[Callable[[str], str], ...] = (
    lambda text: "<p>" + text.replace("。", "。</p><p>", 1) + "</p>",
    lambda text: text + "&nbsp;&lt;附件&gt;<br/>",
    lambda text: text[:20] + "\u200b\ufeff" + text[20:],
    lambda text: "第１２条　" + text + "ＡＢ",
    lambda text: text.replace("，", "，\u3000 ", 2) + "\r\n\r\n",
    lambda text: text + "★★★★★！！！！",
    lambda text: text.encode().decode("latin-1"),
    lambda text: f"当前位置：首页 > 法规\n{text}\n版权所有：某某网 京ICP备12345678号-1",
    lambda text: text + "联系电话：13800138000",
    lambda text: text + "|---|---|\n| 税目 | 税率 |",
)


def articles(folder: Path) -> Iterator[str]:
    for path in sorted((folder / "zh_law_corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                pieces = (piece.strip() for piece in ARTICLE.split(json.loads(line)["text"]))
                yield from (piece for piece in pieces if len(piece) in ARTICLE_CHARS)


def dirty_documents(folder: Path, count: int) -> list[str]:
    rng = random.Random(7)
    every = list(articles(folder))
    chosen = rng.sample(every, min(count, len(every)))
    return [rng.choice(DIRT)(text) if rng.random() < DIRTY_SHARE else text for text in chosen]


def seconds(work: Callable[[], object], *, times: int = 3) -> float:
    """Return the CPU seconds of the fastest run, after one to warm up."""
    work()
    took = []
    for _ in range(times):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return min(took)


def show(what: str, num_documents: int, num_bytes: int, took: float) -> float:
    rate = num_documents / took
    print(
        f"{what:<58}{rate:>12,.0f} docs/s {num_bytes / took / 1e6:>8,.1f} MB/s {took / num_documents * 1e6:>8.2f} us/doc"
    )
    return rate


def measure_ours(documents: list[str]) -> float:
    from services.cleaner.core.cleaning import Stage, clean_texts
    from services.cleaner.settings import CleaningRules

    # What needs a domain's own model or terms has no switch; `language_steps` measures it.
    switches = {stage: stage.value.replace("-", "_") for stage in Stage}
    switches = {stage: switch for stage, switch in switches.items() if switch in CleaningRules.model_fields}
    off = dict.fromkeys(switches.values(), False)
    num_bytes = sum(len(text.encode()) for text in documents)

    def run(rules: CleaningRules, batch: int = BATCH) -> None:
        for at in range(0, len(documents), batch):
            clean_texts(documents[at : at + batch], rules)

    nothing = seconds(lambda: run(CleaningRules.model_validate(off)))
    show("ours: joining the batch alone", len(documents), num_bytes, nothing)
    for stage, switch in switches.items():
        rules = CleaningRules.model_validate(off | {switch: True})
        show(f"ours: {stage} (with joining)", len(documents), num_bytes, seconds(lambda rules=rules: run(rules)))
    show(
        f"ours: all default steps, batches of {SMALL_BATCH}",
        len(documents),
        num_bytes,
        seconds(lambda: run(CleaningRules(), SMALL_BATCH)),
    )
    rate = show(
        f"ours: all default steps, batches of {BATCH}", len(documents), num_bytes, seconds(lambda: run(CleaningRules()))
    )
    print(f"bar: {BAR_DOCUMENTS_PER_S:,} docs/s, {'reached' if rate >= BAR_DOCUMENTS_PER_S else 'missed'}")
    cleaned = clean_texts(documents, CleaningRules())
    print(
        "documents changed:",
        {str(stage): count.documents for stage, count in cleaned.counts.items()},
        "rejected:",
        len(cleaned.rejections),
    )
    return rate


def datatrove_formatting(documents: list[str]) -> Work:
    from datatrove.data import Document
    from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter, SymbolLinesFormatter

    steps = (FTFYFormatter(normalization="NFC"), SymbolLinesFormatter(), PIIFormatter())

    def run() -> None:
        batch: Iterable = [Document(text=text, id=str(at)) for at, text in enumerate(documents)]
        for step in steps:
            batch = step.run(batch)
        list(batch)

    return "FTFY (NFC), SymbolLines, PII; no filter", run


def datatrove(documents: list[str]) -> Work:
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
    from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter, SymbolLinesFormatter

    # The limits that are about English words are off.
    limits = {
        "min_doc_words": 1,
        "min_avg_word_length": None,
        "min_stop_words": None,
        "max_non_alpha_words_ratio": None,
    }
    filters = (GopherRepetitionFilter(language=CHINESE), GopherQualityFilter(**limits, language=CHINESE))
    steps = (FTFYFormatter(normalization="NFC"), SymbolLinesFormatter(), PIIFormatter(), *filters)

    def run() -> None:
        batch: Iterable = [Document(text=text, id=str(at)) for at, text in enumerate(documents)]
        for step in steps:
            batch = step.run(batch)
        list(batch)

    return f"FTFY (NFC), SymbolLines, PII, GopherRepetition and GopherQuality ({CHINESE}: jieba)", run


def data_juicer(documents: list[str]) -> Work:
    from data_juicer.utils.constant import Fields

    load = importlib.import_module
    only = dict.fromkeys(
        ("paths", "emails", "secrets", "ids", "channel_ids", "platform_open_ids", "pem", "jwt", "urls", "ips", "macs"),
        False,
    )
    ops = "data_juicer.ops"
    mappers = [
        load(f"{ops}.mapper.fix_unicode_mapper").FixUnicodeMapper(normalization="NFC"),
        load(f"{ops}.mapper.clean_html_mapper").CleanHtmlMapper(),
        load(f"{ops}.mapper.whitespace_normalization_mapper").WhitespaceNormalizationMapper(),
        load(f"{ops}.mapper.remove_specific_chars_mapper").RemoveSpecificCharsMapper(),
    ]
    # Data-Juicer takes this one document by document.
    redaction = load(f"{ops}.mapper.pii_redaction_mapper").PiiRedactionMapper(
        **{f"mask_{what}": on for what, on in only.items()}
    )
    filters = [
        load(f"{ops}.filter.alphanumeric_filter").AlphanumericFilter(tokenization=False),
        load(f"{ops}.filter.special_characters_filter").SpecialCharactersFilter(),
        load(f"{ops}.filter.character_repetition_filter").CharacterRepetitionFilter(rep_len=8),
        load(f"{ops}.filter.text_length_filter").TextLengthFilter(min_len=1, max_len=50_000),
    ]

    def run() -> None:
        for at in range(0, len(documents), 1_000):
            samples = {"text": documents[at : at + 1_000]}
            for mapper in mappers:
                samples = mapper.process_batched(samples)
            samples = {"text": [redaction.process_single({"text": text})["text"] for text in samples["text"]]}
            samples[Fields.stats] = [{} for _ in samples["text"]]
            for op in filters:
                samples = op.compute_stats_batched(samples)
                list(op.process_batched(samples))

    names = (
        "fix_unicode (NFC), clean_html, whitespace_normalization, remove_specific_chars, pii_redaction (phones, identity cards), "
        "alphanumeric, special_characters, character_repetition (8), text_length; called without its dataset"
    )
    return names, run


PEERS = {"datatrove": datatrove, "datatrove_formatting": datatrove_formatting, "data_juicer": data_juicer}


def measure_peer(name: str, path: Path) -> None:
    """Run in the peers' interpreter: print the steps and the CPU seconds as JSON on the last line."""
    steps, work = PEERS[name](json.loads(path.read_text(encoding="utf-8")))
    print(json.dumps({"steps": steps, "seconds": seconds(work, times=2)}))


def compare(python: str, documents: list[str], ours: float) -> None:
    num_bytes = sum(len(text.encode()) for text in documents)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "documents.json"
        path.write_text(json.dumps(documents), encoding="utf-8")
        for name in PEERS:
            command = [python, str(Path(__file__).resolve()), "--as-peer", name, "--file", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
            if done.returncode:
                print(f"{name}: skipped, {done.stderr.strip().splitlines()[-1]}")
                continue
            told = json.loads(done.stdout.strip().splitlines()[-1])
            print(f"{name}: {told['steps']}")
            ratio = ours / show(f"{name}: the steps above", len(documents), num_bytes, told["seconds"])
            print(f"ours / {name}: {ratio:,.1f} (bar {BAR_RATIO:g}: {'reached' if ratio >= BAR_RATIO else 'missed'})")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="the folder with zh_law_corpus")
    parser.add_argument("--documents", type=int, default=40_000)
    parser.add_argument("--peers", help="an interpreter with the peers installed")
    parser.add_argument("--as-peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.as_peer:
        measure_peer(asked.as_peer, asked.file)
        return
    if not asked.data:
        sys.exit("skipped: everything, since without --data there are no real articles")
    documents = dirty_documents(asked.data, asked.documents)
    mean = sum(map(len, documents)) / len(documents)
    print(f"{len(documents):,} real articles, {DIRTY_SHARE:.0%} made dirty, {mean:.0f} characters each")
    ours = measure_ours(documents)
    if asked.peers:
        compare(asked.peers, documents[:PEER_DOCUMENTS], ours)
    else:
        print("skipped: datatrove and Data-Juicer, since --peers names no interpreter")


if __name__ == "__main__":
    main()
