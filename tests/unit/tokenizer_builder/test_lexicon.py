import pytest

from contracts.lexicon import LexiconEntry
from services.tokenizer_builder.core.lexicon import LexiconState, combined, listed, terms_of
from services.tokenizer_builder.core.lexicon_files import LexiconRefused, parsed
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
    ],
)
def test_a_bad_line_is_named_and_nothing_is_taken(data, why):
    with pytest.raises(LexiconRefused, match=why) as caught:
        parsed(data)
    assert caught.value.next_step


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
    lexicon = combined(state, found, {"质押": 7}, contrast="general text", max_shown=10)
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
    lexicon = combined(LexiconState(), found, {}, contrast="", max_shown=3)
    assert [entry.term for entry in lexicon.entries] == ["词8", "词7", "词6"]
    assert lexicon.num_entries == {"filtered": 9}


def test_a_rejected_term_stays_rejected_when_a_file_names_it_again():
    state = LexiconState().with_decision("质押", "rejected").with_terms(["质押", "抵押"])
    assert state.decisions == {"质押": "rejected", "抵押": "accepted"}


def test_what_was_said_since_the_last_tokenizer_is_listed_at_once():
    version = combined(LexiconState(), [mined("登记簿"), mined("某某", "proposed")], {}, contrast="", max_shown=9)
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
