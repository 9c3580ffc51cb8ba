"""Where the time of one request goes."""

import contextlib
import time
from collections.abc import Iterator


class StageClock:
    """Sums wall time by stage name (fetch, encode, decode, …) for one request, in one thread."""

    def __init__(self) -> None:
        self._spent_s: dict[str, float] = {}

    @contextlib.contextmanager
    def span(self, stage: str) -> Iterator[None]:
        """Add the time of the block to `stage`, also when it raises."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            elapsed_s = time.perf_counter() - start_s
            self._spent_s[stage] = self._spent_s.get(stage, 0.0) + elapsed_s

    @property
    def spent_s(self) -> dict[str, float]:
        """Seconds by stage, in order of first use."""
        return dict(self._spent_s)

    def server_timing(self) -> str:
        """The W3C `Server-Timing` header: `fetch;dur=1.25, decode;dur=18.30`, milliseconds."""
        return ", ".join(f"{stage};dur={s * 1e3:.2f}" for stage, s in self._spent_s.items())
