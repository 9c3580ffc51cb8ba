"""What people have shown of a model's masks, with the weight of chance."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.types import LabelledImage, LabelledMask
from sam_backend.fully_automatic.review.judged_reviews import check_calibration, judged_reviews
from sam_backend.fully_automatic.review.judging import LotReport, Reviewed, report_of
from sam_backend.fully_automatic.review.samples import Sample
from sam_backend.fully_automatic.review.sampling import SampledImage
from sam_backend.fully_automatic.run_folder import BulkRun, read_run
from sam_backend.masks.rle import RLE
from sam_backend.metrics.acceptance import AcceptancePlan
from sam_backend.metrics.corrections import correction
from sam_backend.quality.calibration.judged_masks import Traits
from sam_backend.quality.calibration.judgements import judged_gold
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.gold import Gold, GoldImage
from sam_backend.store.proposals import ProposalKey, Proposals
from tests.fully_automatic.making import generate, make_images
from tests.quality.calibration.calibrated import calibrated_model
from tests.semi_automatic.records import SIZE, block, record

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> BulkRun:
    folder = tmp_path_factory.mktemp("judged")
    make_images(folder / "source", 6)
    generate(folder / "source", folder / "run")
    return read_run(folder / "run")


def reviewed(run: BulkRun) -> LotReport:
    """Of the first images' masks, all but the first were right; every second is drawn rarely."""
    images = [image for image in run.images() if len(image.masks) > 1][:4]
    assert len(images) == 4
    sampled = [
        SampledImage(image.digest, "all", 0.5 if number % 2 else 1.0, decides=True)
        for number, image in enumerate(images)
    ]
    found = []
    for one, image in zip(sampled, images, strict=True):
        shown: list[RLE] = [mask.rle for mask in image.masks][::-1]  # in another order
        found.append(Reviewed(one, correction(image.digest, shown, shown[:-1]), NOON))
    plan = AcceptancePlan()
    sample = Sample(run.run_id, "http://ls", 3, 0, (), 6, plan, tuple(sampled))
    return report_of(sample, found, LeftOut())


def test_reviewed_masks_have_their_own_traits_and_weights(run: BulkRun) -> None:
    report = reviewed(run)
    judged = list(judged_reviews(run, report))
    images = {image.digest: image for image in run.images()}
    assert len(judged) == sum(len(one.correction.pairs) for one in report.reviewed)
    for one in report.reviewed:
        mine = [mask for mask in judged if mask.image == one.sampled.digest]
        masks = images[one.sampled.digest].masks
        by_traits = {mask.traits: mask for mask in mine}
        assert not by_traits[Traits.of(masks[0])].is_good
        assert all(by_traits[Traits.of(mask)].is_good for mask in masks[1:])
        assert {mask.weight for mask in mine} == {1 / one.sampled.probability / 1.5}
        assert {(mask.source, mask.at) for mask in mine} == {("review", NOON)}


def test_a_lot_is_told_beside_what_its_calibration_predicts(run: BulkRun) -> None:
    report = reviewed(run)
    known = replace(calibrated_model(run.plan.model_version), accept=0.0)
    told = check_calibration(run, report, known)
    assert told is not None
    judged = list(judged_reviews(run, report))
    assert told.masks == told.accepted == len(judged)
    assert told.accepted_good == len(judged) - 4
    total = sum(one.weight for one in judged)
    assert told.observed == pytest.approx(sum(o.weight for o in judged if o.is_good) / total)
    assert told.predicted == pytest.approx(
        sum(o.weight * min(max(o.traits.predicted_iou, 0), 1) for o in judged) / total
    )
    document = replace(report, calibration_check=told).as_json()["calibration_check"]
    assert document["accepted_good"] == len(judged) - 4
    unproven = check_calibration(run, report, replace(known, accept=None))
    assert unproven is not None
    assert unproven.accepted is None
    assert check_calibration(run, replace(report, reviewed=()), known) is None


def test_whatever_was_proposed_for_gold_is_judged_by_its_best_match(tmp_path: Path) -> None:
    database = open_database(Settings(data_dir=tmp_path))
    proposals = Proposals(database)
    masks = [record(block(0, 0, 20, 20), 0.9), record(block(0, 0, 20, 19), 0.8)]
    masks += [record(block(40, 30, 60, 50), 0.7)]
    proposals.put(ProposalKey("d" * 64, "model-1", "grid-1"), masks)
    # another proposer has found one of them too
    proposals.put(ProposalKey("d" * 64, "model-1", "grid-2"), masks[:1])
    proposals.put(ProposalKey("d" * 64, "model-2", "grid-1"), masks)
    truth = (LabelledMask(block(0, 0, 20, 20), "Cat"),)
    labelled = LabelledImage("one", tmp_path, "d" * 64, SIZE, truth)
    gold = Gold(database, lambda: NOON)
    gold.put(GoldImage(labelled, "the test"))
    found = sorted(
        judged_gold(gold.images(), proposals, "model-1"), key=lambda one: -one.traits.predicted_iou
    )
    assert [(one.iou, one.is_good, one.at) for one in found] == [
        (1.0, True, NOON),
        (0.95, True, NOON),
        (0.0, False, NOON),
    ]
