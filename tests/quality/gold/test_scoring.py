"""Which answers and masks of models are judged."""

import json
from dataclasses import replace
from pathlib import Path

from sam_backend.datasets.exporting import export_coco
from sam_backend.metrics.comparison import Answer
from sam_backend.quality.calibration.gather import gather_judged
from sam_backend.quality.gold.adding import add_gold
from sam_backend.quality.gold.scoring import unlearned
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.learned_images import LEARNED_NAME, NOTHING_LEARNED
from sam_backend.store.models import ModelStore
from sam_backend.store.proposals import ProposalKey, Proposals
from tests.bullseyes import bullseye_dataset
from tests.e2e.commands import command_inside
from tests.semi_automatic.records import record
from tests.store.checkpoints import put

IMAGE, OTHER = "a" * 64, "b" * 64


def test_a_model_is_not_judged_on_what_it_has_learned_from(tmp_path: Path) -> None:
    listed = tmp_path / LEARNED_NAME
    told = NOTHING_LEARNED.and_images([IMAGE]).write(listed)
    folder = put(tmp_path / "store", "taught-r1", learned_from=told.model_dump(mode="json"))
    listed.rename(folder / LEARNED_NAME)
    put(tmp_path / "store", "without-a-record")
    versions = ("taught-r1+01234567", "without-a-record+01234567", "gone+01234567", "unknown")
    answers = [Answer(image, who, ()) for who in versions for image in (IMAGE, OTHER)]
    judged, n_left_out = unlearned(ModelStore([tmp_path / "store"]), answers)
    assert n_left_out == 1
    assert judged == answers[1:]


def test_pictures_that_become_one_are_named(tmp_path: Path) -> None:
    data = bullseye_dataset(tmp_path / "images", range(2), whole=True)
    first, other = data.images
    copy = tmp_path / "images" / "copy.png"
    copy.write_bytes(first.path.read_bytes())
    images = (first, other, replace(first, name="copy.png", path=copy))
    export_coco(replace(data, images=images), tmp_path / "set.json")
    arguments = ("gold", "add", "--data", str(tmp_path / "set.json"))
    ended = command_inside(tmp_path, *arguments)
    told = f"merged: 1 x picture with the same bytes (images/copy.png: as images/{first.path.name})"
    assert told in ended.stderr
    added = json.loads(command_inside(tmp_path, *arguments, "--json").stdout)
    assert added["images"] == {"unchanged": 2}
    assert added["masks"] == 2 * len(first.masks) + len(other.masks)
    assert added["merged"] == {
        "picture with the same bytes": {
            "count": 1, "which": [f"images/copy.png: as images/{first.path.name}"]
        }
    }  # fmt: skip


def test_masks_on_images_that_the_model_has_learned_from_prove_nothing(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    database = open_database(settings)
    gold = bullseye_dataset(tmp_path / "images", range(2), whole=True)
    add_gold(settings, database, gold, "the test")
    version = "taught-r1+01234567"
    for image in gold:
        found = [replace(record(image.masks[0].rle), image_digest=image.digest)]
        Proposals(database).put(ProposalKey(image.digest, version, "some"), found)
    assert len(gather_judged(settings, database, version)) == 2
    listed = tmp_path / LEARNED_NAME
    told = NOTHING_LEARNED.and_images([gold.images[0].digest]).write(listed)
    store = tmp_path / "model_store"
    folder = put(store, "taught-r1", learned_from=told.model_dump(mode="json"))
    listed.rename(folder / LEARNED_NAME)
    (judged,) = gather_judged(settings, database, version)
    assert judged.image == gold.images[1].digest
