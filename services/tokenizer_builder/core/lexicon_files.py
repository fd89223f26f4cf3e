"""Files of terms as they are common, one a line: plain, jieba's `word freq tag`, THUOCL's `term<TAB>df`, or JSON objects."""

import json
import re
from typing import Any

from contracts.lexicon import MAX_TERM_CHARS
from shared.errors import PermanentError

WEIGHTED = re.compile(r"^(?P<term>.+?)[ \t]+(?P<weight>\d+)(?:[ \t]+[A-Za-z]\w*)?$")
TERM_KEYS = ("term", "word", "text")
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


class LexiconRefused(PermanentError):
    """A file of terms holds a line that is none; nothing of it was taken."""


def parsed(data: bytes) -> list[str]:
    r"""Return the terms of a file in its order, each once; empty lines and those that begin with # are passed over.

    Args:
        data: The file, in UTF-8.

    Raises:
        LexiconRefused: It is not UTF-8, or a line holds no term or one of more than 64 characters.

    Example:
        >>> parsed("不动产登记簿\n著作权 100 n\n版权\t13204281\n{\"term\": \"质押\"}\n".encode())
        ['不动产登记簿', '著作权', '版权', '质押']
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise LexiconRefused(f"line {number} is not UTF-8", next_step="save the file as UTF-8") from error
    terms: dict[str, None] = {}
    for number, line in enumerate(text.removeprefix(BYTE_ORDER_MARK).split("\n"), start=1):
        content = line.strip()
        if content and not content.startswith("#"):
            terms[_checked(_term(content, number), number)] = None
    return list(terms)


def _term(content: str, number: int) -> str:
    if content.startswith("{"):
        return _from_json(content, number)
    found = WEIGHTED.match(content)
    return found["term"].strip() if found else content


def _from_json(content: str, number: int) -> str:
    try:
        value: dict[str, Any] = json.loads(content)
    except json.JSONDecodeError as error:
        raise _refused(number, f"not JSON ({error.msg})") from error
    term = next((value[key] for key in TERM_KEYS if isinstance(value.get(key), str)), None)
    if term is None:
        raise _refused(number, f"none of {', '.join(TERM_KEYS)} is a string in it")
    return str(term).strip()


def _checked(term: str, number: int) -> str:
    if not term or len(term) > MAX_TERM_CHARS:
        raise _refused(number, f"a term has 1 to {MAX_TERM_CHARS} characters, this one {len(term)}")
    if not term.isprintable():
        raise _refused(number, f"the term {term!r} holds what cannot be printed")
    return term


def _refused(number: int, why: str) -> LexiconRefused:
    return LexiconRefused(
        f"line {number}: {why}",
        next_step="write one term a line; a frequency and a tag may follow it, as in jieba's files",
    )
