"""What people did to prefilled masks becomes probabilities, in the real Label Studio."""

import json
import shutil
from pathlib import Path

import pytest

from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.regions import codec
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import encode
from tests.e2e.commands import done, inside, settings_of
from tests.e2e.known_skill import CONFIG, Picture, Thing, draw_picture, region_of, trust
from tests.e2e.people import Person

pytestmark = pytest.mark.e2e

N_PICTURES = 40


def test_what_people_did_to_prefilled_masks_becomes_probabilities(
    label_studio: LocalLabelStudio, projects: Projects, tmp_path: Path, artifacts: Path
) -> None:
    data, settings = tmp_path, settings_of(label_studio)
    pictures = {f"{number:03}.png": draw_picture(number) for number in range(N_PICTURES)}
    trust(data, pictures)
    project = projects.create("prefilled orchard", CONFIG)
    projects.upload(project, {name: body for name, (body, _) in pictures.items()})
    number = str(project)
    bars = [
        f"{bar}_{score}={least}"
        for bar in ("accept", "review")
        for score, least in (("predicted_iou", 0.5), ("stability", 0.4))
    ]
    options = ["preannotate", "--project", number, "--json"]
    for one in (*bars, "max_masks=30", 'parameters={"points_per_side": 6}'):
        options += ["--set", one]
    shown = json.loads(done(data, *options, settings=settings))["masks"]
    person = Person.administrator(label_studio)
    for task in person.tasks(project):
        (prediction,) = task["predictions"]
        truth = [encode(codec.decode(region_of(thing))) for thing in _drawn_on(task, pictures)]
        kept = [
            region
            for region in prediction["result"]
            if iou_matrix([encode(codec.decode(region))], truth).max() >= 0.9
        ]
        person.submit(task["id"], *kept, parent_prediction=prediction["id"], lead_time=9.0)
    told = json.loads(
        inside(
            data,
            "quality",
            "calibrate",
            "--project",
            number,
            "--no-gold",
            "--precision",
            "0.5",
            "--out",
            str(data / "calibration"),
            "--json",
            settings=settings,
        )
    )
    assert told["sources"] == {"prefill": told["masks"]}
    assert told["masks"] == shown["accepted"] + shown["review"]
    assert told["after"]["error"] < told["before"]["error"]
    assert json.loads((data / "calibration" / "reliability.json").read_text()) == told
    shutil.copy(data / "calibration" / "reliability.png", artifacts)

    again = json.loads(done(data, *options, "--set", "triage=proven", settings=settings))["masks"]
    scores = [
        region["score"]
        for task in person.tasks(project)
        for one in task["predictions"]
        if one["id"] > max(p["id"] for p in task["predictions"]) - 1
        for region in one["result"]
    ]
    assert told["accept"] is not None
    assert again["accepted"] > 0
    assert sum(score >= told["accept"] for score in scores) >= again["accepted"]
    probabilities = told["calibration"]["probabilities"]
    assert min(probabilities) - 1e-9 <= min(scores) <= max(scores) <= max(probabilities) + 1e-9

    page = inside(
        data,
        "quality",
        "report",
        "--project",
        number,
        "--out",
        str(data / "models"),
        "--json",
        settings=settings,
    )
    report = json.loads(page)
    (model,) = report["gold"]["models"]
    assert model["images"] == N_PICTURES
    assert 0 < model["ap"] < 1
    assert report["stale"] == []


def _drawn_on(task: dict, pictures: dict[str, Picture]) -> tuple[Thing, ...]:
    name = task["data"]["image"].rpartition("-")[2]
    return pictures[name][1]
