"""Files of terms as they are common: plain lines, jieba's `term [freq] [tag]`, tables (CSV or with tabs), and JSON."""

import csv
import json
import re
from collections.abc import Iterator
from itertools import chain

from contracts.lexicon import MAX_TERM_CHARS, why_no_term
from services.tokenizer_builder.core.terms import HAN, HAN_RUN
from shared.errors import PermanentError

NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
TAG = re.compile(rf"[A-Za-z]\w*|[{HAN}]{{1,4}}词")
"""What may stand behind a frequency: n, nz, law; 名词, 专有名词."""
_TAGS = """a ad ag an b c d df dg e eng f g h i j k l m mg mq n ng nr nrfg nrt ns nt nz o p q r rg rr rz s t tg u ud ug uj ul
uv uz v vd vg vi vn vq x y z zg"""
JIEBA_TAGS = frozenset(_TAGS.split())
"""The tags of jieba's dictionary: without a frequency only these are told from a further word of the term."""
TERM_KEYS = ("term", "word", "text")
HEADINGS = frozenset((*TERM_KEYS, "词", "词语", "词条", "术语"))
MAX_COLUMNS = 3
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

Found = Iterator[tuple[int, str]]


class LexiconRefused(PermanentError):
    """A file of terms holds a line that is none; nothing of it was taken."""


def parsed(data: bytes) -> list[str]:
    r"""Return the terms of a file in its order, each once; empty lines and those that begin with # are passed over.

    Spaces inside a term are kept in tables and in JSON. In a line of neither, what jieba would read as frequency and tag is cut
    off from the right; what is left may still be several words where one is not of Han characters (`T 细胞`).

    Args:
        data: The file, in UTF-8.

    Raises:
        LexiconRefused: It is not UTF-8, or a line holds no term or one of more than 64 characters.

    Example:
        >>> parsed("不动产登记簿\n著作权 100 n\n版权\t13204281\nT 细胞,0.8,n\n{\"term\": \"质押\"}\n".encode())
        ['不动产登记簿', '著作权', '版权', 'T 细胞', '质押']
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise LexiconRefused(f"line {number} is not UTF-8", next_step="save the file as UTF-8") from error
    return list({_checked(term.strip(), number): None for number, term in _found(text.removeprefix(BYTE_ORDER_MARK))})


def _found(text: str) -> Found:
    start = text.lstrip()
    if _is_list(start) and not _is_list_a_line(start):
        yield from ((1, term) for term in _terms_of_json(text, 1))
        return
    lines = _lines(text)
    first = next(lines, None)
    if first is None:
        return
    if (heading := _heading(first[1])) is None:
        for number, line in chain([first], lines):
            yield from _of_line(number, line)
        return
    separator, column = heading
    for number, line in lines:
        fields = _fields(line, separator, number)
        if len(fields) <= column:
            raise _refused(number, f"there is no column {column + 1}, where the first row names the term's")
        yield number, fields[column]


def _lines(text: str) -> Found:
    for number, line in enumerate(text.split("\n"), start=1):
        # A tab at the end says that what is before it is the term.
        content = line.lstrip().rstrip("\r ")
        if content.strip() and not content.startswith("#"):
            yield number, content


def _of_line(number: int, line: str) -> Found:
    if line.startswith("{") or _is_list(line):
        terms = _terms_of_json(line, number)
    elif "\t" in line:
        terms = [_of_row(_fields(line, "\t", number), number)]
    elif line.startswith('"') or _is_row(line):
        terms = [_of_row(_fields(line, ",", number), number)]
    else:
        terms = [_of_words(line, number)]
    yield from ((number, term) for term in terms)


def _heading(line: str) -> tuple[str, int] | None:
    """Return the separator of a table and the place of its terms, if this is the first row of one with names of columns."""
    for separator in ("\t", ","):
        names = [name.strip().strip('"').lower() for name in line.split(separator)]
        column = next((place for place, name in enumerate(names) if name in HEADINGS), None)
        # A number is no name: this is a row, and its term one that columns are called by.
        if column is not None and not any(map(NUMBER.fullmatch, names)):
            return separator, column
    return None


def _fields(line: str, separator: str, number: int) -> list[str]:
    if separator == "\t" and not line.startswith('"'):
        return line.split("\t")
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise _refused(number, f"not a row of a table ({error})") from error


def _of_row(fields: list[str], number: int) -> str:
    term, *more = (field.strip() for field in fields)
    if more and not _is_weight(more[0]) and not _is_tag(more[0]):
        raise _refused(number, f"{more[0][:MAX_TERM_CHARS]!r} behind the term is neither a number nor a tag")
    return term


def _is_row(line: str) -> bool:
    """Whether a line with commas is a row: names of substances (1,2,3-丙三醇) and of diseases have commas, too."""
    term, *more = (field.strip() for field in line.split(",", MAX_COLUMNS))
    if not 0 < len(more) < MAX_COLUMNS or not any(map(str.isalpha, term)):
        return False
    has_tag = len(more) == 1 or not more[1] or bool(TAG.fullmatch(more[1]))
    return has_tag and (_is_weight(more[0]) or _is_tag(more[0]))


def _is_weight(field: str) -> bool:
    return not field or bool(NUMBER.fullmatch(field))


def _is_tag(field: str) -> bool:
    return field in JIEBA_TAGS or (bool(TAG.fullmatch(field)) and not field[0].isascii())


def _of_words(line: str, number: int) -> str:
    # Further spaces stay as they are: a term is looked for as it is written.
    words = line.rsplit(maxsplit=2)
    term = line
    if len(words) > 2 and TAG.fullmatch(words[2]) and NUMBER.fullmatch(words[1]):  # noqa: PLR2004 (term, frequency, tag)
        term = words[0]
    elif len(words) > 1 and NUMBER.fullmatch(words[-1]):
        term = line.rsplit(maxsplit=1)[0]
    elif len(words) > 1 and words[-1] in JIEBA_TAGS:
        if len(words) > 2 or words[0].isascii():  # noqa: PLR2004 (term and tag)
            raise _refused(
                number, f"{words[-1]!r} may be a tag or a part of the term; with a tab at its end all of it is the term"
            )
        term = words[0]
    if len(parts := term.split()) > 1 and all(map(HAN_RUN.fullmatch, parts)):
        raise _refused(number, "several words in one line")
    return term


def _is_list(text: str) -> bool:
    # Names of substances begin with a bracket, too: [18F]FDG.
    return text.startswith("[") and (text[1:100].lstrip()[:1] in {'"', "{"} or text.rstrip() == "[]")


def _is_list_a_line(text: str) -> bool:
    first, _, more = text.partition("\n")
    return bool(more.strip()) and first.rstrip().endswith("]")


def _terms_of_json(content: str, number: int) -> list[str]:
    try:
        value = json.loads(content)
    except json.JSONDecodeError as error:
        raise _refused(number + error.lineno - 1, f"not JSON ({error.msg})") from error
    except (RecursionError, ValueError) as error:
        raise _refused(number, "JSON that is nested too deeply, or with too long a number") from error
    return [_term_of(entry, number) for entry in (value if isinstance(value, list) else [value])]


def _term_of(value: object, number: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        term = next((value[key] for key in TERM_KEYS if isinstance(value.get(key), str)), None)
        if term is not None:
            return str(term)
    raise _refused(number, f"none of {', '.join(TERM_KEYS)} is a string in it")


def _checked(term: str, number: int) -> str:
    if why := why_no_term(term):
        raise _refused(number, why)
    return term


def _refused(number: int, why: str) -> LexiconRefused:
    return LexiconRefused(
        f"line {number}: {why}",
        next_step="write one term a line; a frequency and a tag may follow it, as in jieba's files, in CSV or behind tabs",
    )
