"""What other packages do on the same texts; runs in an environment that has them, for `language_steps`. JSON in, JSON out.

Of pycorrector only the corrector that anchors at a list of terms is taken: its others download models. It is loaded without the
package's own start, which wants torch. scikit-learn's hashed character trigrams stand for a scorer: the hashing alone, no score.
"""

import json
import sys
import tempfile
import time
import types
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

NUM_FEATURES = 1 << 21


def package(name: str) -> Path:
    """The package's folder, entered without running its `__init__`."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"{name} is not installed here")
    module = types.ModuleType(name)
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module
    return Path(module.__path__[0])


def hashing(texts: list[str]) -> dict:
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(analyzer="char", ngram_range=(3, 3), n_features=NUM_FEATURES, norm=None)
    vectorizer.transform(texts[:100])
    started = time.process_time()
    vectorizer.transform(texts)
    return {"seconds": time.process_time() - started}


def correcting(asked: dict) -> dict:
    package("pycorrector")
    from pycorrector.proper_corrector import ProperCorrector

    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(asked["terms"]))
        file.flush()
        started = time.process_time()
        corrector = ProperCorrector(proper_name_path=file.name)
        build = time.process_time() - started
    corrector.correct(asked["texts"][0])
    started = time.process_time()
    corrected = [corrector.correct(text)["target"] for text in asked["texts"]]
    return {"build": build, "seconds": time.process_time() - started, "corrected": corrected}


def confusions(_: object) -> dict:
    """Characters with those that people type for them, from pycorrector's data (Apache-2.0)."""
    folder = package("pycorrector") / "data"
    sounds: dict[str, str] = {}
    for line in (folder / "same_pinyin.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            first, *others = line.split("\t")
            sounds[first] = "".join(others)
    shapes: dict[str, str] = {}
    for line in (folder / "same_stroke.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            group = line.split()
            for one in group:
                shapes[one] = shapes.get(one, "") + "".join(other for other in group if other != one)
    return {"sounds": sounds, "shapes": shapes}


JOBS: dict[str, Callable[..., dict]] = {"hashing": hashing, "correcting": correcting, "confusions": confusions}

if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]](json.load(sys.stdin)), ensure_ascii=False))
