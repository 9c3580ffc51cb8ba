"""Which masks of a run become regions of a task, and with which score."""

from dataclasses import replace

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.fully_automatic.tasks import TaskOptions, TaskWriter
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.templates import template
from sam_backend.store.shards import ImageMasks
from tests.quality.calibration.calibrated import calibrated_model
from tests.semi_automatic.records import SIZE, block, record

MASKS = tuple(record(block(n, n, n + 9, n + 9), n / 100) for n in range(1, 100) if n < 50)
IMAGE = ImageMasks(
    index=0,
    settings="some",
    uri="a.png",
    digest="d" * 64,
    size=SIZE,
    reason=None,
    features=np.zeros(4, np.float32),
    model_version="model-1+00000000",
    masks=MASKS,
)


def scores(options: TaskOptions) -> list[float]:
    """Scores of the regions, the highest first."""
    writer = TaskWriter(LabelConfig.parse(template("brush")), "run", options)
    result = writer.prediction(IMAGE)["result"]
    return sorted((round(one["score"], 3) for one in result), reverse=True)


def test_the_surest_are_shown_with_their_predicted_iou() -> None:
    assert scores(TaskOptions(max_masks=3)) == [0.49, 0.48, 0.47]


def test_only_what_is_proven_and_a_slice_of_the_rest() -> None:
    known = replace(calibrated_model(), accept=0.4)
    accepted = [n / 100 for n in range(49, 39, -1)]
    assert scores(TaskOptions(calibrated=known, proven=True, audit_share=0.0)) == accepted
    some = scores(TaskOptions(calibrated=known, proven=True, audit_share=0.3))
    assert some[:10] == accepted
    assert 3 <= len(some[10:]) <= 22
    few = scores(TaskOptions(calibrated=known, proven=True, audit_share=0.3, max_masks=25))
    assert set(some[10:]) <= set(few)  # chance's part stays, however few are shown
    assert len(scores(TaskOptions(calibrated=known))) == len(MASKS)


def test_what_is_not_proven_is_refused_with_what_would_settle_it() -> None:
    with pytest.raises(InvalidInputError, match=r"nothing is accepted; about 35 more judged masks"):
        TaskOptions(calibrated=calibrated_model(), proven=True)
    with pytest.raises(InvalidInputError, match="nothing is known of this model version"):
        TaskOptions(proven=True)
