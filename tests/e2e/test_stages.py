"""A project's stage in the real Label Studio: by command, and by itself; what is shown of it."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from tests.bullseyes import bullseyes, png
from tests.e2e.commands import command_inside, eventually, inside, settings_of
from tests.e2e.conftest import running_backend
from tests.e2e.people import Person, brush_region

pytestmark = pytest.mark.e2e

N_TASKS = 4
EASY = {
    "1": {
        "min_annotations": N_TASKS,
        "up": {
            "model's IoU after 3 clicks": None,
            "people's IoU on gold": None,
            "retrainings promoted": 0,
            "fall of seconds a mask": None,
        },
    }
}


def test_a_project_moves_by_command_and_by_itself(
    label_studio: LocalLabelStudio, projects: Projects, tmp_path: Path
) -> None:
    anna = Person.administrator(label_studio)
    project = projects.create("e2e stages", template("brush"))
    files = {f"{seed}.png": png(bullseyes(seed)[0]) for seed in range(2 * N_TASKS)}
    tasks = projects.upload(project, files)
    own = settings_of(label_studio)
    easy = {"SAM_BACKEND_STAGES": json.dumps(EASY)}

    def stage(*arguments: str, **settings: str) -> str:
        return inside(
            tmp_path, "stage", *arguments, "--project", str(project), settings=own | settings
        )

    def moves() -> list[dict[str, Any]]:
        return json.loads(stage("log", "--json"))

    refused = command_inside(tmp_path, "stage", "advance", "--project", str(project), settings=own)
    assert refused.returncode == 2
    assert "in no stage yet" in refused.stderr
    assert "in no stage yet" in stage("status")
    assert stage("begin") == "stage 1: begun\n"

    watched = easy | {"SAM_BACKEND_SURVEY_S": "1", "SAM_BACKEND_STAGE_AUTOMATIC": "true"}
    with running_backend(tmp_path, **watched) as backend:
        projects.connect_backend(project, backend, "starter-3")
        for seed, task in enumerate(tasks[:N_TASKS]):
            regions = [brush_region(f"m{n}", mask) for n, mask in enumerate(bullseyes(seed)[1])]
            anna.submit(task, *regions, lead_time=10.0 * (seed + 1))

        def is_moved() -> list[dict[str, Any]] | None:
            found = moves()
            return found if len(found) == 2 else None

        moved, begun = eventually(is_moved)
        assert (begun["stage"], moved["stage"], moved["by"]) == ("1", "2", "automatic")
        assert moved["reason"] == "retrainings promoted 0, at least 0 is asked"

        address = f"{backend}/dashboard/figures?project={project}"

        def board() -> dict[str, Any] | None:
            told = httpx.get(address).json()["board"]
            return told if told["stage"]["policy"]["stage"] == "2" else None

        told = eventually(board)
        course = told["course"][0]
        assert (course["annotations"], course["masks"], course["seconds"]) == (4, 8, 100)
        assert course["seconds_per_mask"]["whole"]["value"] == pytest.approx(12.5)
        metrics = httpx.get(f"{backend}/metrics").text
        assert f'sam_backend_masks{{project="{project}",stage="1"}} 8.0' in metrics
        assert f'sam_backend_stage{{project="{project}"}} 2.0' in metrics

    shut = command_inside(tmp_path, "stage", "advance", "--project", str(project), settings=own)
    assert shut.returncode == 1
    assert "accept threshold proven: not known yet" in shut.stderr
    assert stage("advance", "--reason", "a trial") == "stage 3: a trial\n"
    assert "lots rejected in a row" in stage("status", "--measure")
    assert stage("retreat", "--reason", "it was one") == "stage 2: it was one\n"
    assert [one["stage"] for one in moves()] == ["2", "3", "2", "1"]
    assert {one["by"] for one in moves()} > {"automatic"}
    log = inside(tmp_path, "dataset", "log", "--edits", "--project", str(project), settings=own)
    assert [log.count(f"STAGE {number}") for number in "123"] == [1, 2, 1]
    committed = inside(
        tmp_path, "dataset", "commit", "-m", "x", "--json", "--project", str(project), settings=own
    )
    assert json.loads(committed)["version"]["stage"] == "2", "the project's own"
    stage("plot", "--out", str(tmp_path / "stages.png"))
    assert (tmp_path / "stages.png").stat().st_size > 10_000
