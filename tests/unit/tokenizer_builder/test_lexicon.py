import csv
import io
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.lexicon import LexiconEntry
from services.tokenizer_builder.core.lexicon import LexiconState, combined, listed, terms_of
from services.tokenizer_builder.core.lexicon_files import HEADINGS, LexiconRefused, parsed
from services.tokenizer_builder.core.terms import standing


def mined(term: str, status: str = "accepted", count: int = 10) -> LexiconEntry:
    return LexiconEntry(term=term, origin="mined", status=status, score=0.5, count=count, reason="score 0.50")


@pytest.mark.parametrize(
    ("line", "term"),
    [
        ("不动产登记簿", "不动产登记簿"),
        ("  著作权 100 n ", "著作权"),
        ("著作权 100", "著作权"),
        ("版权\t13204281", "版权"),
        ('{"term": "质押", "df": 3}', "质押"),
        ('{"word": "质押"}', "质押"),
        ('{"text": " 质押 "}', "质押"),
        ("GB 18667", "GB"),
        ("due process", "due process"),
        ("维生素 B", "维生素 B"),
        ("\N{ZERO WIDTH NO-BREAK SPACE}质押\r", "质押"),
        ("凱特琳 nz", "凱特琳"),
        ("不动产登记簿,100,n", "不动产登记簿"),
        ("不动产登记簿,,n", "不动产登记簿"),
        ('"不动产登记簿","100"', "不动产登记簿"),
        ('"质押, 抵押",3', "质押, 抵押"),
        ("质押 5 名词", "质押"),
        ('["著作权"]', "著作权"),
        ("著作权 0.83", "著作权"),
        ("著作权\t8.3e-1\tn", "著作权"),
        ("T 细胞\t", "T 细胞"),
        ("hepatitis B\t12", "hepatitis B"),
        ("hepatitis B,12,n", "hepatitis B"),
        ('{"term": "hepatitis b"}', "hepatitis b"),
        ("白介素 2 受体", "白介素 2 受体"),
        ("严重应激反应 NOS", "严重应激反应 NOS"),
        ("维生素B1（VitB1,VB1）", "维生素B1（VitB1,VB1）"),
        ("1,2-二氯乙烷", "1,2-二氯乙烷"),
        ("1,2,3-丙三醇", "1,2,3-丙三醇"),
        ("多胎活产,皆为女性", "多胎活产,皆为女性"),
        ("乳头状瘤  NOS 3", "乳头状瘤  NOS"),
        ("[18F]氟代脱氧葡糖", "[18F]氟代脱氧葡糖"),
        ("[]B,0,n", "[]B"),
    ],
)
def test_the_usual_formats_are_read(line, term):
    assert parsed(f"{line}\n".encode()) == [term]


def test_empty_lines_comments_and_repetitions_are_passed_over():
    assert parsed("# 法律\n\n质押\n抵押 3 n\n质押 9 n\n".encode()) == ["质押", "抵押"]
    assert parsed(b"") == []


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ('质押\n{"term": 3}\n'.encode(), "line 2: none of term, word, text is a string"),
        ("质押\n{oops\n".encode(), "line 2: not JSON"),
        (("长" * 65 + "\n").encode(), "line 1: a term has 1 to 64 characters, this one 65"),
        (b'{"term": " "}\n', "line 1: a term has 1 to 64 characters, this one 0"),
        ("质\x07押\n".encode(), "line 1: the term .* cannot be printed"),
        ("质押\n".encode() + "质押".encode("gb18030"), "line 2 is not UTF-8"),
        ("质押\n合同 => 契约\n".encode(), "line 2: '合同 => 契约' is a pair of words"),
        ("质押\n合同 契约\n".encode(), "line 2: several words"),
        ("合同\t契约\n".encode(), "line 1: '契约' behind the term is neither a number nor a tag"),
        (b"hepatitis b\n", "line 1: 'b' may be a tag"),
        ("劳动 合同 n\n".encode(), "line 1: 'n' may be a tag"),
        ("质押\n---\n".encode(), "line 2: '---' holds neither a letter"),
        (b'"oops,3\n', "line 1: not a row of a table"),
        ("freq,term\n3,质押\n4\n".encode(), "line 3: there is no column 2"),
        (b'["a",\n3]\n', "none of term, word, text is a string"),
        (b'["a",\noops]\n', "line 2: not JSON"),
        pytest.param(b'{"term": ' + b"[" * 100_000, "line 1: JSON that is nested too deeply", id="deep"),
        pytest.param(b'{"term": "a", "df": ' + b"9" * 5_000 + b"}", "line 1: JSON .* too long a number", id="long"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_taken(data, why):
    with pytest.raises(LexiconRefused, match=why) as caught:
        parsed(data)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "content",
    [
        "term,freq,tag\n不动产登记簿,100,n\nhepatitis b,3,n\n",
        "Freq,Word\n100,不动产登记簿\n3,hepatitis b\n",
        '\ufeff"词","频率"\n"不动产登记簿","100"\n"hepatitis b",\n',
        "term\tdf\n不动产登记簿\t100\nhepatitis b\t3\n",
        "term\n不动产登记簿\nhepatitis b\n",
        '[\n  "不动产登记簿",\n  {"term": "hepatitis b"}\n]\n',
        '["不动产登记簿"]\n["hepatitis b"]\n',
    ],
)
def test_tables_with_names_of_columns_and_lists_are_read(content):
    assert parsed(content.encode()) == ["不动产登记簿", "hepatitis b"]


def _csv(rows, **form):
    file = io.StringIO(newline="")
    csv.writer(file, **form).writerows(rows)
    return file.getvalue()


ROWS = st.lists(
    st.tuples(
        st.text(st.sampled_from("质押合同TBb细胞 0-9,\"'（）[]、n"), min_size=1, max_size=12)
        .filter(lambda term: term == term.strip() and any(map(str.isalnum, term)))
        .filter(lambda term: term.lower() not in HEADINGS),
        st.one_of(st.integers(0, 10**9), st.floats(0, 1, allow_nan=False)),
        st.sampled_from(["n", "nz", "law", "名词"]),
    ),
    max_size=8,
)
WRITERS = {
    "rows": _csv,
    "rows, all quoted": lambda rows: _csv(rows, quoting=csv.QUOTE_ALL),
    "a table": lambda rows: _csv([("term", "freq", "tag"), *rows]),
    "a list": lambda rows: json.dumps([term for term, _, _ in rows], ensure_ascii=False),
    "an indented list": lambda rows: json.dumps([term for term, _, _ in rows], indent=2),
    "objects": lambda rows: "".join(json.dumps({"term": term, "df": df}) + "\n" for term, df, _ in rows),
    "tabs": lambda rows: "".join(f"{term}\t{df}\n" for term, df, _ in rows),
    "jieba, without spaces": lambda rows: "".join(f"{term} {df} {tag}\n" for term, df, tag in rows),
}


@pytest.mark.parametrize("form", WRITERS)
@given(rows=ROWS)
def test_what_the_writer_of_a_format_writes_is_read_back(form, rows):
    if form in {"tabs", "jieba, without spaces"}:
        # These have no way to write a quote at the beginning, or what is a list of JSON.
        rows = [row for row in rows if not row[0].startswith(('"', "["))]
    if form == "rows":
        # A number alone before a comma may be a part of a name, 1,2-二氯乙烷: it would stand in quotes.
        rows = [row for row in rows if any(map(str.isalpha, row[0]))]
    if form.startswith("jieba"):
        rows = [row for row in rows if " " not in row[0] and "," not in row[0]]
    assert parsed(WRITERS[form](rows).encode()) == list(dict.fromkeys(term for term, _, _ in rows))


@given(
    data=st.one_of(st.binary(max_size=60), st.text(st.sampled_from('质n 1.,\t\n"[]{}=>#'), max_size=30).map(str.encode))
)
def test_whatever_comes_is_read_or_refused(data):
    with suppress(LexiconRefused):
        assert all(term == term.strip() and term.isprintable() for term in parsed(data))


@pytest.mark.parametrize(
    ("term", "why"),
    [
        ("不动产登记簿", None),
        ("维生素B族", None),
        ("10吨级", "a number at its edge"),
        ("甲苯2", "letters, digits and signs|a number at its edge"),
        ("NaCl", "letters, digits"),
        ("TP53", "letters, digits"),
        ("X射线", None),
        (" 质押", "blanks"),
    ],
)
def test_what_differs_in_a_digit_stays_in_pieces(term, why):
    found = standing(term)
    assert (found is None) == (why is None)
    if why:
        assert any(part in str(found) for part in why.split("|"))


def test_a_persons_word_goes_before_what_was_mined():
    state = LexiconState().with_terms(["质押", "抵押权", "TP53"]).with_decision("本法规定", "rejected")
    found = [
        mined("质押"),
        mined("本法规定"),
        mined("登记簿", count=30),
        mined("和其他", "filtered"),
        mined("某某", "proposed"),
    ]
    lexicon = combined(state, found, {"质押": 7}, {}, contrast="general text", max_shown=10)
    told = {entry.term: (entry.origin, entry.status, entry.count) for entry in lexicon.entries}
    assert told == {
        "质押": ("user", "accepted", 7), "抵押权": ("user", "accepted", 0), "登记簿": ("mined", "accepted", 30),
        "某某": ("mined", "proposed", 10), "TP53": ("user", "filtered", 0), "和其他": ("mined", "filtered", 10),
        "本法规定": ("user", "rejected", 0),
    }  # fmt: skip
    assert lexicon.num_entries == {"accepted": 3, "proposed": 1, "filtered": 2, "rejected": 1}
    assert [term.text for term in terms_of(lexicon)] == ["质押", "登记簿", "抵押权"]


def test_a_version_lists_the_most_frequent_of_what_was_filtered_and_counts_all():
    found = [mined(f"词{number}", "filtered", count=number) for number in range(9)]
    lexicon = combined(LexiconState(), found, {}, {}, contrast="", max_shown=3)
    assert [entry.term for entry in lexicon.entries] == ["词8", "词7", "词6"]
    assert lexicon.num_entries == {"filtered": 9}


def test_a_rejected_term_stays_rejected_when_a_file_names_it_again():
    state = LexiconState().with_decision("质押", "rejected").with_terms(["质押", "抵押"])
    assert state.decisions == {"质押": "rejected", "抵押": "accepted"}


def test_what_was_said_since_the_last_tokenizer_is_listed_at_once():
    version = combined(LexiconState(), [mined("登记簿"), mined("某某", "proposed")], {}, {}, contrast="", max_shown=9)
    state = LexiconState(version_digest="a" * 64).with_decision("某某", "accepted").with_terms(["质押"])
    listing = listed("law", state, version, status=None, limit=10)
    assert {entry.term: entry.status for entry in listing.entries} == {
        "登记簿": "accepted",
        "某某": "accepted",
        "质押": "accepted",
    }
    assert listing.num_entries["accepted"] == 3
    assert listing.version_digest == "a" * 64
    assert [entry.term for entry in listed("law", state, version, status="proposed", limit=10).entries] == []
    assert len(listed("law", state, None, status="accepted", limit=1).entries) == 1
