"""Tasks a minute through each door of stage 2, and where the time goes.

python -m benchmarks.prefill [--tasks 60] [--points 16] [--label-studio DIR]

A private Label Studio and a backend are started; photos are drawn scenes of 1200x900 pixels, all
different. Door (a) is one request for all tasks, as "Retrieve predictions" sends it; door (b) is
`sam-backend preannotate`. Seconds by stage are summed over the threads that share the work; those
of "propose" hold the wait for the device, whose own are told apart.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import cv2
import httpx
import numpy as np

from sam_backend.cli.process_setup import backend_process
from sam_backend.demo.local_server import LocalLabelStudio, ensure_label_studio_env
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from sam_backend.projects.project import open_project
from sam_backend.semi_automatic.runs import preannotate_project
from sam_backend.settings import Settings
from sam_backend.training.scenes import hard_scene

HEIGHT, WIDTH = 900, 1200


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    params = {"parameters": {"points_per_side": arguments.points}}
    program = ensure_label_studio_env(arguments.label_studio)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with (
            LocalLabelStudio(program, root / "label-studio") as server,
            Projects(server.url, server.account.token) as projects,
        ):
            files = {f"{n:03}.jpg": photo(n) for n in range(arguments.tasks)}
            rows = [
                _asked(server, projects, files, root / "a", params),
                _pushed(server, projects, files, root / "b", params),
            ]
    print(json.dumps(rows, indent=1) if arguments.json else _table(rows))


def photo(seed: int) -> bytes:
    """A JPEG file of a scene."""
    scene = hard_scene(np.random.default_rng(seed), WIDTH).image[:HEIGHT]
    return cv2.imencode(".jpg", cv2.cvtColor(scene, cv2.COLOR_RGB2BGR))[1].tobytes()


def _asked(
    server: LocalLabelStudio,
    projects: Projects,
    files: dict[str, bytes],
    folder: Path,
    params: dict[str, object],
) -> dict[str, object]:
    """Door (a): how long Label Studio's own action takes."""
    project = projects.create("benchmark door a", template("brush"))
    projects.upload(project, files)
    folder.mkdir()
    settings = {
        "SAM_BACKEND_DATA_DIR": str(folder),
        "SAM_BACKEND_PREFILL": json.dumps(params),
    }
    with backend_process(folder, settings) as backend:
        version = str(httpx.get(f"{backend.origin}/versions").json()["versions"][0])
        projects.connect_backend(project, backend.origin, version)
        start_s, before_s = time.perf_counter(), _busy_s(backend.origin)
        httpx.post(
            f"{server.url}/api/dm/actions?id=retrieve_tasks_predictions&project={project}",
            json={"selectedItems": {"all": True, "excluded": []}},
            headers=server.auth_headers,
            timeout=200,
        ).raise_for_status()
        seconds = time.perf_counter() - start_s
        busy = (_busy_s(backend.origin) - before_s) / seconds
    told = httpx.get(
        f"{server.url}/api/projects/{project}/", headers=server.auth_headers, timeout=60
    ).json()
    return {
        "door": "Label Studio asks",
        "tasks": told["total_predictions_number"],
        "tasks a minute": 60 * told["total_predictions_number"] / seconds,
        "device busy": busy,
    }


def _busy_s(origin: str) -> float:
    return float(httpx.get(f"{origin}/status", timeout=30).json()["work"]["device_busy_s"])


def _pushed(
    server: LocalLabelStudio,
    projects: Projects,
    files: dict[str, bytes],
    folder: Path,
    params: dict[str, object],
) -> dict[str, object]:
    """Door (b), in this process; the model loads before the clock starts."""
    project = projects.create("benchmark door b", template("brush"))
    projects.upload(project, files)
    settings = Settings(
        data_dir=folder, label_studio_url=server.url, label_studio_api_key=server.account.token
    )
    with open_project(settings, project) as at:
        told = preannotate_project(at, params=params).as_json()
    return {
        "door": "preannotate",
        "tasks": told["tasks_prefilled"],
        "tasks a minute": told["tasks_per_minute"],
        "device busy": told["device_busy_share"],
        **{f"{stage} on the device, s a task": seconds / len(files)
           for stage, seconds in told["device_seconds_by_stage"].items()},
        **{f"{stage}, s a task": seconds / len(files)
           for stage, seconds in told["seconds_by_stage"].items()},
    }  # fmt: skip


def _table(rows: list[dict[str, object]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for row in rows:
        cells = (row.get(name, "") for name in names)
        lines.append(
            "| "
            + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells)
            + " |"
        )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--points", type=int, default=16, help="a side of the grid")
    parser.add_argument("--label-studio", type=Path, default=Path(".venv-label-studio"))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
