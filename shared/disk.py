"""Whether an error says that a disk is full."""

import errno
import sqlite3

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(error: BaseException) -> bool:
    """Whether an error of the operating system, or of SQLite, says that there is no space left; it may be freed again."""
    match error:
        case OSError():
            return error.errno in FULL
        case sqlite3.Error():
            return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        case _:
            return False
