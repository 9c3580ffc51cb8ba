"""Waiting out a Label Studio that is down, busy or just being updated."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sam_backend.errors import LabelStudioUnavailableError

Result = TypeVar("Result")

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


class Retry:
    """Repeats a call, with pauses that double.

    Args:
        give_up_s: How long Label Studio may be away before the error is ours.
        sleep: Waits some seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        give_up_s: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._give_up_s = give_up_s
        self._sleep = sleep
        self._clock = clock

    def get(self, work: Callable[[], Result]) -> Result:
        """What `work` returns at last.

        Args:
            work: May be repeated: it must look what an earlier try has done.

        Raises:
            LabelStudioUnavailableError: Label Studio has been away for too long.
            LabelStudioError: It refuses the call.
        """
        start_s, pause_s = self._clock(), _FIRST_PAUSE_S
        while True:
            try:
                return work()
            except LabelStudioUnavailableError as error:
                wait_s = max(pause_s, error.retry_after_s or 0.0)
                if self._clock() + wait_s - start_s > self._give_up_s:
                    raise
                log.warning("%s; trying again in %.0f s", error, wait_s)
                self._sleep(wait_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
