"""Lists of terms, a term a line."""

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


def terms_in(text: str) -> list[str]:
    r"""Return the terms of a list: the first word of each line, so that frequencies and tags may follow; # begins a remark.

    Example:
        >>> terms_in("人民法院\n\n# 罪名\n抢劫罪 12 n\n")
        ['人民法院', '抢劫罪']
    """
    lines = (line.strip() for line in text.removeprefix(BYTE_ORDER_MARK).splitlines())
    return [line.split()[0] for line in lines if line and not line.startswith("#")]
