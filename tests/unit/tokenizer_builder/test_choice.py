import re

import pytest

from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.choice import choose, lexicon_of
from services.tokenizer_builder.core.job import CorpusTexts
from services.tokenizer_builder.core.lexicon import Lexicon, LexiconState
from services.tokenizer_builder.core.report import report_on
from services.tokenizer_builder.core.segmentation import counted
from services.tokenizer_builder.generals import general_text
from services.tokenizer_builder.settings import LexiconRules, TokenizerRules
from shared.demo.statutes import load_statutes
from shared.errors import RunFailed
from tests.unit.tokenizer_builder.statutes import ARTICLES, DRUG_LEAFLET

RULES = TokenizerRules(vocab_size=3000, small_vocab_size=3000)
NO_TERMS = Lexicon(entries=(), num_entries={}, contrast="")
OLD = tuple(document.text for document in load_statutes().first[:600])
TOKENIZER = bpe.train(ARTICLES, vocab_size=1200, max_token_chars=6)


def corpus(new=(), old=(), held_out=()) -> CorpusTexts:
    return CorpusTexts(new=new, old=old, training=[*old, *new], held_out=held_out)


def with_terms(*terms: str, texts: CorpusTexts) -> Lexicon:
    return lexicon_of(texts, LexiconState().with_terms(terms), general_text(None), LexiconRules(mine=False))


def test_more_of_the_same_reuses_the_tokenizer_and_another_field_rebuilds_it():
    kept = choose(corpus(ARTICLES[-1:], ARTICLES[:-1]), TOKENIZER, NO_TERMS, RULES)
    assert (kept.action, kept.tokenizer, kept.num_new_tokens) == ("reused", TOKENIZER, 0)
    serving = choose(corpus(ARTICLES), None, NO_TERMS, RULES).tokenizer
    rebuilt = choose(corpus([DRUG_LEAFLET], ARTICLES), serving, NO_TERMS, RULES)
    assert rebuilt.action == "rebuilt"
    assert "it covers" in rebuilt.reason
    assert rebuilt.fit.coverage == 1.0


def test_a_term_that_nobody_wants_hides_none_that_is_accepted():
    texts = corpus(["数据知识产权登记证书由登记机构发放。"] * 4)
    state = (
        LexiconState().with_terms(["数据知识产权", "2数据知识产权"]).with_decision("数据知识产权登记证书", "rejected")
    )
    lexicon = lexicon_of(texts, state, general_text(None), LexiconRules(mine=False))
    counts = {entry.term: entry.count for entry in lexicon.entries}
    assert counts == {"数据知识产权": 4, "2数据知识产权": 0, "数据知识产权登记证书": 4}


def test_users_terms_that_occur_get_room_and_extensions_end_at_their_allowance():
    runs = [run for run, _ in counted(OLD).runs.most_common() if 4 < len(run) < 12]
    rules = RULES.model_copy(update={"small_vocab_size": 3_000, "vocab_size": 3_000, "max_extension_terms": 100})
    texts = corpus(OLD)
    built = choose(texts, None, with_terms(*runs[:500], texts=texts), rules)
    assert built.num_left_out == 0
    assert built.tokenizer.get_vocab_size(with_added_tokens=True) <= 3_000
    more = with_terms(*runs[500:700], texts=texts)
    extended = choose(corpus((), OLD), built.tokenizer, more, rules)
    size = extended.tokenizer.get_vocab_size(with_added_tokens=True)
    assert (extended.action, size <= 3_100) == ("extended", True)
    again = choose(corpus((), OLD), extended.tokenizer, more, rules)
    assert again.tokenizer.get_vocab_size(with_added_tokens=True) <= 3_100


def test_a_users_term_that_is_no_token_is_named_with_the_reason():
    serving = choose(corpus(OLD), None, NO_TERMS, RULES).tokenizer
    texts = corpus(["不动产登记簿由登记机构管理，不动产登记簿应当采用统一的样式。"] * 9, OLD)
    kept = choose(texts, serving, with_terms("不动产登记", texts=texts), RULES)
    assert kept.action == "reused"
    ((term, why),) = ((one.term, one.reason) for one in kept.left_out)
    assert term == "不动产登记"
    assert re.fullmatch(r"it cuts 登记簿 at \d+ of \d+ places", why)
    assert kept.reason.endswith(f"; left out of users' terms: 不动产登记: {why}")
    runs = [run for run, _ in counted(OLD).runs.most_common() if 4 < len(run) < 12]
    built = choose(corpus(OLD), None, with_terms(*runs, texts=corpus(OLD)), RULES)
    assert {one.reason for one in built.left_out} == {"there is no room for it"}
    assert built.reason.endswith(f"; and {len(built.left_out) - 3:,} more")


def test_a_few_new_lines_do_not_rebuild_what_serves():
    serving = choose(corpus(OLD), None, NO_TERMS, RULES).tokenizer
    rare = ["𪚥字登记的，申请人应当向登记机构提交身份证明，登记机构应当当场审查。"]
    kept = choose(corpus(rare, OLD), serving, NO_TERMS, RULES)
    assert (kept.action, kept.tokenizer) == ("reused", serving)
    assert kept.fit.num_chars == len(rare[0])
    assert kept.fit.coverage < RULES.min_coverage, "what is told of the new text is about it alone"
    assert "34 new characters and " in kept.reason
    assert "since fewer than 20,000 are new" in kept.reason


def test_a_rebuild_is_compared_on_new_text_that_the_trial_did_not_learn_from():
    serving = choose(corpus(OLD), None, NO_TERMS, RULES).tokenizer
    # Another field, by a rule: every Han character becomes another one, which statutes do not know.
    other = [
        "".join(chr(ord(one) - ord("一") + 0x20000) if "一" <= one <= "鿿" else one for one in text)
        for text in OLD[:150]
    ]
    rules = RULES.model_copy(update={"min_judged_chars": 2_000})
    rebuilt = choose(corpus(other, OLD), serving, NO_TERMS, rules)
    assert rebuilt.action == "rebuilt"
    assert "on text kept back from it" in rebuilt.reason
    assert rebuilt.fit.coverage > 0.9


def test_a_version_that_adds_nothing_reuses_what_serves():
    assert choose(corpus((), [DRUG_LEAFLET]), TOKENIZER, NO_TERMS, RULES).action == "reused"


def test_a_users_new_term_extends_the_serving_tokenizer_and_counts_once():
    texts = corpus(["数据出境安全评估由国家网信部门负责。"] * 3, ARTICLES)
    lexicon = with_terms("数据出境安全评估", "从未出现的词语", texts=texts)
    first = choose(texts, TOKENIZER, lexicon, RULES.model_copy(update={"min_coverage": 0.0, "max_fertility_rise": 9.0}))
    assert (first.action, first.num_new_tokens, first.terms_as_tokens) == ("extended", 1, ("数据出境安全评估",))
    assert first.reason.startswith("extended: 1 new terms, 1 of them users', save ")
    assert first.num_left_out == 1, "a term that never occurs needs no token yet"
    again = choose(
        texts, first.tokenizer, lexicon, RULES.model_copy(update={"max_fertility_rise": 9.0, "min_coverage": 0})
    )
    assert again.action == "reused"


def test_mined_terms_of_new_text_extend_it_if_they_save_enough():
    serving = choose(corpus(OLD), None, NO_TERMS, RULES).tokenizer
    term = "水权出让机构"
    new = [f"第{number}条 {term}应当每年报告；{term}不得自行收费。" for number in range(60)]
    texts = corpus([*new, *OLD[:20]], OLD)
    user = with_terms(term, texts=texts)
    mined = user.model_copy(update={"entries": (user.entries[0].model_copy(update={"origin": "mined"}),)})
    rules = RULES.model_copy(update={"max_fertility_rise": 9.0, "min_coverage": 0.0})
    assert choose(texts, serving, NO_TERMS, rules).action == "reused"
    extended = choose(texts, serving, mined, rules)
    assert extended.action == "extended"
    assert "1 new terms, 0 of them users'" in extended.reason
    old = corpus(OLD[:40], [*new, *OLD])
    assert choose(old, serving, mined, rules).action == "reused", "the new text does not bring it"
    dear = choose(texts, serving, mined, rules.model_copy(update={"min_extension_gain": 0.9}))
    assert (dear.action, dear.tokenizer) == ("reused", serving)
    assert "limit 90.00 %" in dear.reason


def test_without_a_serving_tokenizer_one_is_built_and_without_training_text_none_can_be():
    built = choose(corpus(ARTICLES), None, NO_TERMS, RULES)
    assert (built.action, built.reason) == ("built", "built: nothing serves yet")
    with pytest.raises(RunFailed, match="no training document"):
        choose(CorpusTexts(new=ARTICLES, old=(), training=(), held_out=ARTICLES), None, NO_TERMS, RULES)
    with pytest.raises(RunFailed, match="it is empty"):
        choose(corpus(), None, NO_TERMS, RULES)


def test_the_report_tells_of_held_out_text_and_of_general_tokenizers_that_are_there():
    texts = corpus(ARTICLES, held_out=["本法所称知识产权，包括专利权和𠮷。"])
    lexicon = with_terms("知识产权", "专利权", texts=texts)
    choice = choose(texts, None, lexicon, RULES)
    general = {"bytes": lambda text: len(text.encode()), "gone": None}
    report = report_on(
        choice, texts, lexicon, RULES, domain="law", corpus_digest="c" * 64, tokenizer_digest="d" * 64, general=general
    )
    assert (report.decision, report.is_held_out, report.num_texts, report.num_chars) == ("built", True, 1, 17)
    (compared,) = report.compared
    assert (compared.name, compared.num_tokens, report.not_compared) == ("bytes", 17 * 3 + 1, ("gone",))
    assert compared.ratio == report.num_tokens / 52
    assert (report.num_terms, report.terms_whole, report.terms_unbroken, report.num_term_occurrences) == (
        2,
        1.0,
        1.0,
        2,
    )
    assert report.num_byte_tokens >= 4
    assert report.coverage < 1.0 == report.round_trip
    assert report.num_entries == {"accepted": 2}
    assert sum(report.num_tokens_by_chars.values()) == report.num_tokens
    new = corpus(ARTICLES)
    lexicon = lexicon.model_copy(update={"entries": ()})
    told = report_on(
        choice, new, lexicon, RULES, domain="law", corpus_digest="c" * 64, tokenizer_digest="d" * 64, general={}
    )
    assert (told.is_held_out, told.num_texts) == (False, len(ARTICLES))
    assert (told.num_terms, told.terms_whole, told.terms_unbroken, told.accepted_terms_whole) == (0, None, None, None)


def test_the_report_counts_accepted_terms_that_are_no_token():
    texts = corpus(ARTICLES, held_out=["本法所称知识产权，包括专利权和数据权益。"])
    built = choose(texts, None, with_terms("专利权", texts=texts), RULES)
    lexicon = with_terms("专利权", "数据权益", "从未出现的词语", texts=texts)
    told = report_on(
        built, texts, lexicon, RULES, domain="law", corpus_digest="c" * 64, tokenizer_digest="d" * 64, general={}
    )
    assert (told.num_terms, told.terms_whole) == (2, 1 / 2), "数据权益 occurs in the held-out text, and is in pieces"
    assert (told.num_term_occurrences, told.terms_unbroken) == (2, 1 / 2)
    assert (told.num_accepted_terms, told.accepted_terms_whole) == (3, 1 / 3)


def test_an_extension_takes_all_accepted_terms_and_until_then_they_are_said_to_wait():
    serving = choose(corpus(OLD), None, NO_TERMS, RULES).tokenizer
    texts = corpus(["数据出境安全评估由国家网信部门负责。"] * 3, OLD)
    brought = with_terms("数据出境安全评估", texts=texts)
    frequent = ["海上货物运输合同", "功能团体选举", "分区直接选举"]
    known = with_terms(*frequent, texts=texts)
    mined = [entry.model_copy(update={"origin": "mined", "reason": "score 0.50"}) for entry in known.entries]
    missing = {entry.term for entry in mined if len(serving.encode(entry.term, add_special_tokens=False).ids) > 1}
    assert missing
    waiting = known.model_copy(update={"entries": tuple(mined)})
    kept = choose(texts, serving, waiting, RULES)
    assert (kept.action, kept.left_out, kept.num_left_out) == ("reused", (), 0)
    assert {one.term for one in kept.waiting} == missing
    assert kept.reason.endswith(f"; {len(missing)} mined terms wait for the next extension")
    told = waiting.with_waiting({one.term: one.reason for one in kept.waiting})
    assert {entry.term for entry in told.entries if entry.status == "waiting"} == missing
    assert {entry.term for entry in told.accepted} == set(frequent) - missing
    assert told.num_entries == {"accepted": len(told.accepted), "waiting": len(missing)}
    assert "waits for the next extension" in str(told.entries[-1].reason)

    both = waiting.model_copy(update={"entries": (*brought.entries, *mined)})
    extended = choose(texts, serving, both, RULES)
    assert (extended.action, extended.waiting, extended.left_out) == ("extended", (), ())
    assert set(extended.terms_as_tokens) == {*frequent, "数据出境安全评估"}
    assert extended.reason.startswith("extended: 1 new terms, 1 of them users', save ")
    assert extended.reason.endswith(f"; with them {len(missing)} accepted terms that had waited")
    again = choose(texts, extended.tokenizer, both, RULES)
    assert (again.action, again.waiting, again.left_out) == ("reused", (), ()), "nothing is left to wait for"
