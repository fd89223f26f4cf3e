"""What is tried again: transient errors for ever, with growing pauses; defects thrice."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter

from shared.disk import is_full
from shared.errors import PermanentError, TransientError

MAX_DEFECT_ATTEMPTS = 3
MAX_RETRY_PAUSE_S = 10.0

log = logging.getLogger(__name__)


def is_transient(error: BaseException) -> bool:
    """Tell whether an error passes by itself: a broker, store or disk that is away or full."""
    return is_full(error) or (
        isinstance(error, (TransientError, KafkaError, OSError, TimeoutError))
        and not isinstance(error, (PermanentError, MessageSizeTooLargeError))
    )


def is_worth_another_attempt(error: BaseException) -> bool:
    """Tell whether a message is handled again: a defect may be met once and not twice."""
    return not isinstance(error, (PermanentError, asyncio.CancelledError)) and isinstance(error, Exception)


def retrying(worth: Callable[[BaseException], bool]) -> Callable[..., Awaitable[None]]:
    """Return a caller that repeats for ever after transient errors, and thrice after defects that are `worth` it.

    Transient errors do not use up the attempts of a defect.
    """
    num_defects = 0

    def give_up(state: RetryCallState) -> bool:
        nonlocal num_defects
        error = state.outcome.exception() if state.outcome else None
        if error is not None and not is_transient(error):
            num_defects += 1
        return num_defects >= MAX_DEFECT_ATTEMPTS

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("will try again", extra={"attempt": state.attempt_number, "error": repr(error)})

    return AsyncRetrying(
        retry=retry_if_exception(worth),
        wait=wait_exponential_jitter(multiplier=0.2, max=MAX_RETRY_PAUSE_S, jitter=0.2),
        stop=give_up,
        before_sleep=say,
        reraise=True,
    )
