"""On which texts tokenizers are judged and compared."""

from services.tokenizer_builder.core.job import CorpusTexts
from services.tokenizer_builder.core.measured import judged_on, trial_of
from services.tokenizer_builder.settings import TokenizerRules
from shared.demo.statutes import load_statutes

OLD = [document.text for document in load_statutes().first[:400]]
NEW = [document.text for document in load_statutes().later[:400]]
RULES = TokenizerRules(min_judged_chars=2_000)


def num_chars(texts) -> int:
    return sum(map(len, texts))


def corpus(new, old, held_out=()) -> CorpusTexts:
    return CorpusTexts(new=[*new, *held_out], old=old, training=[*old, *new], held_out=held_out)


def test_enough_new_text_is_judged_alone_and_less_with_older_text():
    alone = judged_on(NEW, OLD, RULES)
    assert (alone.texts, alone.told) == (NEW, "")
    filled = judged_on(NEW[:3], OLD, RULES)
    assert list(filled.texts[:3]) == NEW[:3]
    assert set(filled.texts[3:]) <= set(OLD)
    assert 1_000 < num_chars(filled.texts) < 3_000
    assert f"{num_chars(NEW[:3]):,} new characters" in filled.told
    assert judged_on([], OLD, RULES).texts == []


def test_a_trial_is_measured_on_what_it_has_not_learnt():
    few, many = judged_on(NEW[:3], OLD, RULES), judged_on(NEW, OLD, RULES)
    held_out = trial_of(corpus(NEW[100:], OLD, NEW[:100]), many, RULES)
    assert (held_out.texts, held_out.told) == (NEW[:100], "held-out text")
    kept_back = trial_of(corpus(NEW, OLD, OLD[:1]), many, RULES)
    assert kept_back.told == "text kept back from it"
    assert set(kept_back.texts) < set(NEW)
    assert not set(kept_back.texts) & set(kept_back.training)
    assert set(kept_back.texts) | set(kept_back.training) == {*NEW, *OLD}
    assert num_chars(kept_back.texts) > 1_000
    learnt = trial_of(corpus(NEW[:3], OLD), few, RULES)
    assert (learnt.texts, learnt.told) == (few.texts, "text that it learnt from")


def test_one_long_text_alone_is_not_kept_back_from_its_own_trial():
    long = "".join(NEW)
    trial = trial_of(corpus([long], []), judged_on([long], [], RULES), RULES)
    assert (trial.training, trial.told) == ([long], "text that it learnt from")
