"""How long a server takes from its start to `/health` and to `/ready`.

The first start has empty caches of compiled kernels, as after an installation; later ones find what
the first one kept. Prints one Markdown table.

    python -m benchmarks.startup [--model starter-3] [--rounds 3]
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from sam_backend.demo.server_process import ServerProcess, free_port
from sam_backend.program import PROGRAM
from sam_backend.settings import Settings

POLL_S = 0.02
PATIENCE_S = 120.0
GOALS_S = {"/health": 5, "/ready": 15}


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the process's start.

    Attributes:
        health_s: Until it answers at all.
        ready_s: Until the model is loaded and warm.
    """

    health_s: float
    ready_s: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="version in the model store")
    parser.add_argument("--rounds", type=int, default=3, help="starts after the first one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first = _start(Path(folder), arguments.model)
        later = [_start(Path(folder), arguments.model) for _ in range(arguments.rounds)]
    print("| start | /health | /ready |\n|---|---|---|")
    print(f"| first, caches empty | {first.health_s:.1f} s | {first.ready_s:.1f} s |")
    health_s = statistics.median(start.health_s for start in later)
    ready_s = statistics.median(start.ready_s for start in later)
    print(f"| later, median of {len(later)} | {health_s:.1f} s | {ready_s:.1f} s |")
    print(f"| goal | {GOALS_S['/health']} s | {GOALS_S['/ready']} s |")


def _start(folder: Path, model: str | None) -> Start:
    """Start a server with all its folders in `folder`, and stop it again."""
    own = Settings()
    settings = {
        "SAM_BACKEND_DATA_DIR": str(folder / "data"),
        "SAM_BACKEND_MODEL_STORE": str(own.model_store or own.data_dir / "model_store"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "NUMBA_CACHE_DIR": str(folder / "numba"),
    }
    if model:
        settings["SAM_BACKEND_MODEL"] = model
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [*PROGRAM, "serve", "--port", str(port)]
    server = ServerProcess("the backend", command, f"{url}/health", folder / "log", settings)
    started_s = time.perf_counter()
    server.start()
    try:
        with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
            health_s = _seconds_until(client, "/health", server, started_s)
            return Start(health_s, _seconds_until(client, "/ready", server, started_s))
    finally:
        server.stop()


def _seconds_until(
    client: httpx.Client, path: str, server: ServerProcess, started_s: float
) -> float:
    while (waited_s := time.perf_counter() - started_s) < PATIENCE_S:
        server.check_alive()
        try:
            if client.get(path).status_code == httpx.codes.OK:
                return time.perf_counter() - started_s
        except httpx.TransportError:
            pass
        time.sleep(POLL_S)
    raise SystemExit(f"{path} does not answer after {waited_s:.0f} s:\n{server.log_tail()}")


if __name__ == "__main__":
    main()
