"""One of the benchmark's processes: does what it is told over pipes, a line of JSON each way."""

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from benchmarks.speed.plan import Allocator
from sam_backend.cli.process_setup import ALLOCATOR_TUNING


class PlayerError(RuntimeError):
    """The process has ended, or what it was told failed."""


class Player:
    """The parent's end: starts the process and calls methods of its `Stage`.

    Args:
        allocator: Of the process; the default one has none of our variables, whatever ours has.
        device: `cpu` or a CUDA device.
        threads: Of torch in that process.
    """

    def __init__(self, allocator: Allocator, device: str, threads: int) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in ALLOCATOR_TUNING}
        if allocator == "tuned":
            environment |= ALLOCATOR_TUNING
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed.player", device, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def call(self, method: str, **arguments: object) -> Any:
        """The answer of `Stage.<method>(**arguments)`; waits for it.

        Raises:
            PlayerError: It failed there; the traceback is on stderr.
        """
        to, back = self._process.stdin, self._process.stdout
        if to is None or back is None or self._process.poll() is not None:
            raise PlayerError(f"the benchmark's process has ended before {method}")
        to.write(json.dumps({"method": method, "arguments": arguments}) + "\n")
        to.flush()
        line = back.readline()
        if not line:
            raise PlayerError(f"the benchmark's process died in {method} ({arguments})")
        told = json.loads(line)
        if "error" in told:
            raise PlayerError(f"{method} ({arguments}): {told['error']}")
        return told["answer"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()  # its loop ends
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(device: str, threads: int) -> None:
    """The child's end: answers until its stdin ends."""
    # Prints of libraries must not get between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    from benchmarks.speed.stage import Stage

    stage = Stage(device, threads)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            told = {"answer": getattr(stage, asked["method"])(**asked["arguments"])}
        except Exception as error:
            import traceback

            traceback.print_exc()
            told = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(told) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
