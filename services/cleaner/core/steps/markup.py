"""Markup: HTML, comments, scripts, entities and the leftovers of Markdown. What only looks like markup stays.

"a<b", "P<0.05", "<中华人民共和国宪法>" and "《》" are text: a tag is what HTML has a name for and what is written like a tag, or
has a quoted attribute. A whole page goes through a parser first (selectolax), which drops what is never the page's text.
Cells of a table are kept apart by " | ", its rows by line feeds.
"""

import html
import re
from html.entities import html5
from typing import Final

from selectolax.lexbor import LexborHTMLParser

from services.cleaner.core.steps import markdown
from services.cleaner.core.steps.joined import Flags, JoinedTexts, runs
from services.cleaner.core.steps.traits import Trait

CELL: Final = " | "

_INLINE = (
    "abbr|acronym|address|area|base|bdi|bdo|big|button|cite|code|col|colgroup|data|del|dfn|em|embed|font|iframe|img|input|ins|"
    "kbd|label|link|map|mark|meta|noscript|object|optgroup|option|param|path|picture|rp|rt|ruby|samp|select|small|source|span|"
    "strike|strong|sub|sup|svg|textarea|time|track|tt|var|video|audio|canvas|wbr|nobr|[a-z]+:[a-z]+"
)
_BLOCK = (
    "article|aside|blockquote|body|br|caption|center|dd|details|dialog|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|"
    "head|header|hr|html|legend|li|main|nav|ol|pre|section|summary|table|tbody|tfoot|thead|title|tr|ul"
)
_VALUE = """(?:"[^"<]*"|'[^'<]*'|[^\\s"'<>=][^\\s"'<>]*)"""
_SWITCH = "(?:allowfullscreen|async|checked|controls|defer|disabled|hidden|multiple|noshade|nowrap|readonly|required|selected)"
_ATTRIBUTES = rf"(?:\s+(?:[a-zA-Z_:@][\w:.-]*\s*=\s*{_VALUE}|{_SWITCH}(?=[\s/>])))*\s*/?"
_QUOTED = rf"""\s+(?:[\w:.-]+\s*=\s*{_VALUE}\s+){{0,40}}[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*')[^<>]{{0,2000}}"""


def _letter_tag(letters: str) -> str:
    """Return the pattern of tags of one letter, after its "<"; bare between two operands ("a<b>c") it is a comparison."""
    return rf"(?<![0-9A-Za-z]<){letters}>|{letters}>(?![0-9A-Za-z])|{letters}(?=[\s/]){_ATTRIBUTES}>"


# Whatever may be long ends at the next bracket, and sections are looked for only up to the last end mark: time stays linear.
_SECTIONS: Final = (
    ("-->", re.compile(r"<!--.*?-->", re.DOTALL)),
    ("]]>", re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)),
    ("</script", re.compile(r"<script\b[^<>]*>.*?</script\s*>?", re.DOTALL | re.IGNORECASE)),
    ("</style", re.compile(r"<style\b[^<>]*>.*?</style\s*>?", re.DOTALL | re.IGNORECASE)),
)
_PROLOGUE = re.compile(r"<!DOCTYPE[^<>]*>|<\?xml[^<>]*\?>", re.IGNORECASE)
_LETTER_PAIR = re.compile(r"<([abipqsu])>([^<>]*)</\1>", re.IGNORECASE)
_RAISED = re.compile(r"<(sup|sub)>([-+()0-9n]{1,8})</\1>", re.IGNORECASE)
_SUPERSCRIPTS = str.maketrans("0123456789+-()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ")
_SUBSCRIPTS = str.maketrans("0123456789+-()n", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙ")
_CELL_BORDER = re.compile(rf"</t[dh]\s*>\s*<t[dh]{_ATTRIBUTES}>", re.IGNORECASE)
# All begin with a bracket, which the search jumps to.
_BLOCK_TAG = re.compile(rf"<(?:/?(?:{_BLOCK}){_ATTRIBUTES}>|/p\s*>|{_letter_tag('p')})", re.IGNORECASE)
_INLINE_TAG = re.compile(
    rf"<(?:/[a-z][\w:.-]*\s*>|(?:{_INLINE}|t[dh]){_ATTRIBUTES}>|{_letter_tag('[abiqsu]')}|[a-z][\w:.-]*{_QUOTED}>)",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:amp;)*(#\d{1,7};|#[xX][0-9a-fA-F]{1,6};|[a-zA-Z][a-zA-Z0-9]{1,31};)")

_PAGE = re.compile(r"<html[\s>]|<body[\s>]|<!doctype\s+html", re.IGNORECASE)
_NEVER_TEXT = "script, style, template, noscript, head, nav, header, footer, aside, form, button, select, iframe, svg"
MAX_NESTED_LETTERS: Final = 8


def needs(joined: JoinedTexts) -> Flags:
    """Return which documents hold a character that markup is made of, or a ruling."""
    ruling = (joined.codes == ord("-")) | (joined.codes == ord("="))
    return joined.has(Trait.MARKUP) | joined.documents_with(runs(ruling, markdown.MIN_RULING))


def strip_markup(text: str) -> tuple[str, int]:
    r"""Return the text without markup, and how many pieces of it there were.

    Example:
        >>> strip_markup("<p>血糖&gt;7.0&nbsp;mmol/L，<b>P<0.05</b></p>")
        ('\n血糖>7.0\xa0mmol/L，P<0.05\n', 6)
    """
    changed = 0
    if "<" in text:
        if _PAGE.search(text):
            text, changed = _page_text(text), 1
        text, num_tags = _strip_tags(text)
        changed += num_tags
    if "&" in text:
        text, num_entities = _unescape(text)
        changed += num_entities
    text, num_leftovers = markdown.strip_markdown(text)
    return text, changed + num_leftovers


def _page_text(page: str) -> str:
    """Return the body of a page as well-formed HTML, without menus, forms and the like."""
    tree = LexborHTMLParser(page)
    for node in tree.css(_NEVER_TEXT):
        # An element inside one that went already is gone as well.
        if node.parent is not None:
            node.decompose()
    return (tree.body.html or "") if tree.body else ""


def _strip_tags(text: str) -> tuple[str, int]:
    text, changed = _strip_sections(text)
    if "</" in text:
        for _ in range(MAX_NESTED_LETTERS):
            text, count = _LETTER_PAIR.subn(_inside, text)
            changed += count
            if not count:
                break
        text, count = _RAISED.subn(_raised, text)
        changed += count
    for pattern, instead in ((_CELL_BORDER, CELL), (_BLOCK_TAG, "\n"), (_INLINE_TAG, "")):
        text, count = pattern.subn(instead, text)
        changed += count
    return text, changed


def _inside(pair: re.Match[str]) -> str:
    return f"\n{pair[2]}\n" if pair[1] in "pP" else pair[2]


def _raised(pair: re.Match[str]) -> str:
    """Keep what an exponent or an index says: without its tags 10<sup>9</sup> would be 109."""
    return pair[2].translate(_SUPERSCRIPTS if pair[1].lower() == "sup" else _SUBSCRIPTS)


def _strip_sections(text: str) -> tuple[str, int]:
    """Take away comments, scripts and styles with what is in them; of a CDATA section only the marks go."""
    changed = 0
    for end_mark, section in _SECTIONS:
        last = text.lower().rfind(end_mark) if end_mark in text or end_mark.upper() in text else -1
        if last >= 0:
            cut = last + len(end_mark) + 1
            begin, count = section.subn(lambda match: match[1] if match.re.groups else "", text[:cut])
            text = begin + text[cut:]
            changed += count
    if "<!" in text or "<?" in text:
        text, count = _PROLOGUE.subn("", text)
        changed += count
    return text, changed


def _unescape(text: str) -> tuple[str, int]:
    """Replace character references that end in a semicolon and are known, however often they were escaped."""
    changed = 0

    def character(match: re.Match[str]) -> str:
        nonlocal changed
        known = match[1][0] == "#" or match[1] in html5
        changed += known or match[0] != "&" + match[1]
        return html.unescape("&" + match[1]) if known else "&" + match[1]

    return _ENTITY.sub(character, text), changed
