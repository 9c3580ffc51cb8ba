"""`--preset`: the published recipes by name, for `generate`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.store.models import ModelStore, packaged_store
from tests.e2e.commands import inside

FEW = ["--set", "points_per_side=4"]
"""The grid's own 1,024 points on each crop would take minutes."""


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--preset", "paper"], AutomaticSettings.paper()),
        (["--preset", "segment_anything"], AutomaticSettings.reference()),
        ([], AutomaticSettings.of(ModelStore([packaged_store()]).get("starter-3").card.automatic)),
    ],
)
def test_a_run_has_the_settings_of_its_preset(
    tmp_path: Path, options: list[str], settings: AutomaticSettings
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    pixels = np.full((40, 40, 3), 90, np.uint8)
    pixels[10:30, 10:30] = 230
    Image.fromarray(pixels).save(photos / "square.png")
    told = json.loads(
        inside(tmp_path, "generate", str(photos), "--out", "run", "--json", *options, *FEW)
    )
    assert told["images_done"] == 1
    plan = json.loads((tmp_path / "run" / "run.json").read_text())
    assert AutomaticSettings(**plan["settings"]) == replace(settings, points_per_side=4)
