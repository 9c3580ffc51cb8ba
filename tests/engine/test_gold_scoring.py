"""Which answers of models gold judges."""

from pathlib import Path

from sam_backend.engine.gold.scoring import unlearned
from sam_backend.quality.comparing import Answer
from sam_backend.store.learned_images import LEARNED_NAME, NOTHING_LEARNED
from sam_backend.store.models import ModelStore
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
