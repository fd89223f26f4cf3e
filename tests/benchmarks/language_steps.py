"""How fast and how right relevance and typo correction are, alone and as steps of the cleaner. Not part of the tests.

OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m tests.benchmarks.language_steps [--data FOLDER] [--peers PYTHON] [--all-laws]

All times are CPU times of one thread. FOLDER has lexicons, general and medical text (zh_lexicons, zh_general_text, zh_typos,
zh_law_corpus, zh_med_qa_internal); without it only what the statutes alone show is measured. PYTHON is an interpreter with
pycorrector (and jieba, loguru, pypinyin) and scikit-learn; without it there are no peers and no slips from a foreign table.
"""

import argparse
import gzip
import json
import random
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
from ahocorasick_rs import AhoCorasick, MatchKind

from services.cleaner.character_shapes import load_shapes
from services.cleaner.core.cleaning import UNKNOWN, DomainLanguage, clean_texts
from services.cleaner.core.typos.corrector import TypoCorrector, TypoRules
from services.cleaner.settings import CleaningRules
from shared.corpus import is_held_out
from shared.demo.statutes import load_statutes
from shared.relevance.counts import count_trigrams
from shared.relevance.fit import RelevanceFit
from shared.word_pairs import NEVER_CHANGED

TYPICAL_CHARS = 135
PEERS = Path(__file__).with_name("language_peers.py")
NUM_PEER_TEXTS = 300
CLEANED_AT_A_TIME = 2_048


def rows(path: Path, *fields: str) -> list[str]:
    stored = path.read_bytes()
    records = (gzip.decompress(stored) if path.suffix == ".gz" else stored).decode().split("\n")
    return [row[field] for row in map(json.loads, filter(None, records)) for field in fields if row.get(field)]


def lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def peer(python: str, job: str, asked: object) -> dict:
    found = subprocess.run(
        [python, str(PEERS), job], input=json.dumps(asked), capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return json.loads(found.stdout.splitlines()[-1])


def area_under_curve(higher: np.ndarray, lower: np.ndarray) -> float:
    ranks = np.concatenate([higher, lower]).argsort(kind="stable").argsort() + 1
    size = len(higher)
    return (ranks[:size].sum() - size * (size + 1) / 2) / size / len(lower)


def resident_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


def k_docs(texts: list[str], seconds: float) -> float:
    return sum(map(len, texts)) / TYPICAL_CHARS / seconds / 1000


def damaged(texts: list[str]) -> dict[str, list[str]]:
    rng = random.Random(7)

    def noisy(text: str) -> str:
        return "".join(chr(rng.randrange(0x4E00, 0x9FA5)) if rng.random() < 0.1 else one for one in text)

    return {
        "shuffled characters": ["".join(rng.sample(text, len(text))) for text in texts],
        "utf-8 read as gbk": [text.encode().decode("gbk", "replace") for text in texts],
        "gbk read as latin-1": [text.encode("gb18030").decode("latin-1") for text in texts],
        "a tenth random characters": [noisy(text) for text in texts],
    }


def relevance(data: Path | None, python: str | None) -> None:
    statutes = load_statutes()
    documents = statutes.first + statutes.later + statutes.held_back
    train = [one for one in documents if not is_held_out(one.split_group)]
    held_out = [one.text for one in documents if is_held_out(one.split_group)]
    others = damaged(held_out)
    if data:
        others["general Chinese"] = rows(data / "zh_general_text/text.jsonl.gz", "text")
        others["learners' essays"] = rows(data / "zh_typos/sighan2015_train.jsonl", "right")
        others["medical answers"] = rows(data / "zh_med_qa_internal/qa.jsonl.gz", "answer")
    else:
        print("relevance: general and medical text skipped, no --data")
    texts = [one.text for one in train] * 2
    for log2_buckets in (20, 21, 22):
        started = time.process_time()
        fit = RelevanceFit(log2_buckets)
        fit.add([one.text for one in train], [one.split_group for one in train])
        counted = time.process_time()
        model = fit.model()
        fitted = time.process_time()
        state = len(count_trigrams(["一"], log2_buckets).to_bytes()) / 1e6
        kept = model.scores(held_out)
        started_scores = time.process_time()
        model.scores(texts)
        rate = k_docs(texts, time.process_time() - started_scores)
        print(
            f"relevance, 2^{log2_buckets} buckets: {rate:,.0f} k docs/s, {state:.0f} MB, counted in "
            f"{counted - started:.2f} s, limits in {fitted - counted:.2f} s; held-out laws rejected "
            f"{(kept < model.reject_below).mean():.2%}, flagged {(kept < model.flag_below).mean():.2%}"
        )
        for name, some in others.items():
            scores = model.scores(some)
            rejected = (scores < model.reject_below).mean()
            print(f"    {name:<26} AUC {area_under_curve(kept, scores):.4f}, rejected {rejected:.1%}")
        if python and log2_buckets == 21:
            theirs = k_docs(texts[:5000], peer(python, "hashing", texts[:5000])["seconds"])
            print(
                f"    scikit-learn HashingVectorizer, trigrams hashed only: {theirs:,.1f} k docs/s; ratio {rate / theirs:.1f}"
            )


def planted(texts: list[str], terms: list[str], table: dict[str, str]) -> tuple[list[str], list[str], list[int]]:
    """One character of a term in each text, exchanged by the table; returns whole texts, those with slips, and where."""
    rng = random.Random(1)
    found = AhoCorasick(terms, matchkind=MatchKind.LeftmostLongest)
    whole, wrong, places = [], [], []
    for text in texts:
        if not 20 < len(text) < 400 or not (matches := found.find_matches_as_indexes(text)):
            continue
        _, begin, end = rng.choice(matches)
        place = rng.randrange(begin, end)
        options = [one for one in table.get(text[place], "") if one != text[place]]
        if options:
            whole.append(text)
            wrong.append(text[:place] + rng.choice(options) + text[place + 1 :])
            places.append(place)
    return whole, wrong, places


def judged(
    whole: list[str], wrong: list[str], places: list[int], corrected: list[str], unplanted: list[str]
) -> tuple[int, int]:
    """Right and wrong changes; what the unplanted text gets as well is no consequence of the slip."""
    right = bad = 0
    for text, slip, place, after, before in zip(whole, wrong, places, corrected, unplanted, strict=True):
        if len(after) != len(slip):
            bad += 1
            continue
        changed = {at: new for at, (old, new) in enumerate(zip(slip, after, strict=True)) if old != new}
        known = {at: new for at, (old, new) in enumerate(zip(text, before, strict=False)) if old != new}
        right += changed.get(place) == text[place]
        bad += sum(text[at] != new and known.get(at) != new for at, new in changed.items())
    return right, bad


def swapped(corrector: TypoCorrector, texts: list[str]) -> None:
    num_texts = num_changed = 0
    for one, others in NEVER_CHANGED.items():
        if len(one) > 1:
            having = [text for text in texts if one in text][:50]
            for other in others:
                exchanged = [text.replace(one, other, 1) for text in having]
                num_texts += len(exchanged)
                num_changed += len(corrector.correct(exchanged)[1])
    print(f"    words of pairs exchanged in {num_texts:,} texts: {num_changed} changes")


def typos(name: str, terms: list[str], texts: list[str], python: str | None) -> None:
    TypoCorrector(["人民法院"])  # loads the dictionaries
    before, started = resident_mb(), time.process_time()
    corrector = TypoCorrector(terms, TypoRules(shapes=load_shapes()))
    build = time.process_time() - started
    print(
        f"typos, {name}: {corrector.num_terms:,} terms, {corrector.num_patterns:,} patterns, built in {build:.2f} s, "
        f"{resident_mb() - before:.0f} MB more"
    )
    started = time.process_time()
    _, corrections = corrector.correct(texts)
    rate = k_docs(texts, time.process_time() - started)
    size = sum(map(len, texts))
    each = size / max(len(corrections), 1)
    print(
        f"    {rate:,.0f} k docs/s; text as it is: {len(corrections)} changes in {size:,} characters, one in {each:,.0f}"
    )
    for one in corrections[:5]:
        print(f"      {texts[one.position][max(0, one.start - 6) : one.start + 6]!r}: {one.term}")
    if name == "law":
        swapped(corrector, texts[:20_000])
    if not python:
        print("    planted slips and peers skipped, no --peers")
        return
    anchors = [term for term in terms if len(term) > 2]
    tables = peer(python, "confusions", None)
    rng = random.Random(3)
    sample = rng.sample(texts, min(len(texts), 15_000))
    for kind, table in tables.items():
        whole, wrong, places = planted(sample, anchors, table)
        right, bad = judged(whole, wrong, places, corrector.correct(wrong)[0], corrector.correct(whole)[0])
        print(
            f"    {len(wrong):,} slips by {kind}: fixed {right / len(wrong):.3f}, precision {right / max(right + bad, 1):.4f}"
        )
        if kind == "sounds":
            whole, wrong, places = whole[:NUM_PEER_TEXTS], wrong[:NUM_PEER_TEXTS], places[:NUM_PEER_TEXTS]
            theirs = peer(python, "correcting", {"terms": anchors, "texts": wrong + whole})
            their_rate = k_docs(wrong + whole, theirs["seconds"])
            right, bad = judged(
                whole, wrong, places, theirs["corrected"][: len(wrong)], theirs["corrected"][len(wrong) :]
            )
            changes = sum(one != other for one, other in zip(whole, theirs["corrected"][len(wrong) :], strict=True))
            print(
                f"    pycorrector's ProperCorrector on {len(wrong)} of them: fixed {right / len(wrong):.3f}, precision "
                f"{right / max(right + bad, 1):.4f}, {changes} texts without a slip changed, {their_rate:.3f} k docs/s; "
                f"ratio {rate / their_rate:,.0f}"
            )


def in_the_cleaner(terms: list[str]) -> None:
    """The default steps on statutes, alone and with what a domain's files add."""
    documents = load_statutes().first
    texts = [one.text for one in documents]
    fit = RelevanceFit()
    fit.add(texts, [one.split_group for one in documents])
    model, corrector = fit.model(), TypoCorrector(terms, TypoRules(shapes=load_shapes()))
    known = {
        "the default steps": UNKNOWN,
        "and relevance": DomainLanguage(relevance=model),
        "and typos": DomainLanguage(typos=corrector),
        "and both": DomainLanguage(relevance=model, typos=corrector),
    }
    for name, language in known.items():
        took = []
        for _ in range(3):
            started = time.process_time()
            for at in range(0, len(texts), CLEANED_AT_A_TIME):
                clean_texts(texts[at : at + CLEANED_AT_A_TIME], CleaningRules(), language)
            took.append(time.process_time() - started)
        print(f"cleaner, {name:<18} {k_docs(texts, min(took)):>6,.0f} k docs/s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peers", help="a Python interpreter that has them")
    parser.add_argument("--all-laws", action="store_true", help="look for false changes in the whole law corpus too")
    asked = parser.parse_args()
    relevance(asked.data, asked.peers)
    if not asked.data:
        print("typos: skipped, no --data")
        return
    lexicons, laws = asked.data / "zh_lexicons", [one.text for one in load_statutes().first]
    if asked.all_laws:
        laws += [
            text
            for name in ("central", "local")
            for text in rows(asked.data / f"zh_law_corpus/{name}.jsonl.gz", "text")
        ]
    legal_terms = rows(lexicons / "thuocl_law.jsonl", "term") + lines(lexicons / "criminal_charges.txt")
    in_the_cleaner(legal_terms)
    typos("law", legal_terms, laws, asked.peers)
    questions = rows(asked.data / "zh_med_qa_internal/qa.jsonl.gz", "answer", "ask", "title")
    typos("medicine", rows(lexicons / "thuocl_medical.jsonl", "term"), questions, asked.peers)
    essays = {side: rows(asked.data / "zh_typos/sighan2015_test.jsonl", side) for side in ("wrong", "right")}
    corrector = TypoCorrector(
        rows(lexicons / "thuocl_law.jsonl", "term") + rows(lexicons / "thuocl_medical.jsonl", "term")
    )
    found = {side: len(corrector.correct(some)[1]) for side, some in essays.items()}
    print(f"SIGHAN 2015 test, general text: {found['wrong']} changes in the wrong side, {found['right']} in the right")


if __name__ == "__main__":
    main()
