"""The measurement itself, with models whose answers are known."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch

from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import encode
from sam_backend.metrics import interactive
from sam_backend.metrics.figures import failures, figures
from sam_backend.metrics.interactive import InteractiveReport, Sample, evaluate
from sam_backend.sam.reference import Sam
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.starter import build_starter
from tests.metrics.models import Known, oracle
from tests.sam.networks import random_starter, random_starter_lite

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 40
SQUARE = np.zeros((SIZE, SIZE), np.bool_)
SQUARE[10:30, 10:30] = True
HALF = SQUARE.copy()
HALF[:, 20:] = False
NOTHING = np.zeros_like(SQUARE)
IMAGE = np.zeros((SIZE, SIZE, 3), np.uint8)


def measure(model: Known, max_clicks: int = 20) -> InteractiveReport:
    return evaluate(model, [Sample(IMAGE, SQUARE[None])], max_clicks)


def scene() -> Sample:
    """Three shapes that do not overlap, in colours that say nothing to a model."""
    y, x = np.mgrid[:96, :128]
    masks = np.stack(
        [
            np.hypot(y - 30, x - 30) < 20,
            (abs(y - 60) < 25) & (abs(x - 90) < 20),
            (y > 70) & (x < 50),
        ]
    )
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    return Sample(image, masks, "scene")


def test_a_perfect_oracle_scores_one_on_every_figure() -> None:
    report = evaluate(oracle(scene().masks), [scene()])
    for figure in figures(report.max_clicks):
        best = 1.0 if figure.is_higher_better or figure.name.startswith("NoC") else 0.0
        assert report.value(figure) == pytest.approx(best), figure.name


def test_random_weights_score_near_nothing() -> None:
    torch.manual_seed(0)
    report = evaluate(Segmenter(build_starter(), "random"), [scene()])
    assert report.miou_at(1) < 0.25
    assert report.miou_at(9) < 0.35
    assert report.box_miou < 0.25
    assert report.boundary_iou < 0.1
    assert report.noc(0.85) == report.noc(0.90) == 20


def test_a_perfect_model_is_asked_no_more() -> None:
    model = Known(lambda prompt: [SQUARE])
    measure(model)
    assert len(model.prompts) == 2
    assert model.prompts[1].box is not None
    assert model.prompts[1].box.tolist() == [10, 10, 30, 30]


def test_the_first_candidate_counts_and_the_best_is_told_apart() -> None:
    report = measure(Known(lambda prompt: [HALF, SQUARE, NOTHING]))
    assert report.miou_at(1) == pytest.approx(0.5)
    assert report.oracle_miou == 1.0


def test_corrections_go_where_the_error_is_with_the_last_logits() -> None:
    model = Known(lambda prompt: [SQUARE if len(prompt.points) > 1 else HALF])
    report = measure(model)
    assert (report.miou_at(1), report.miou_at(3), report.miou_at(9)) == (0.5, 1.0, 1.0)
    assert report.noc(0.85) == report.noc(0.90) == 2
    assert report.box_miou == pytest.approx(0.5)
    second = model.prompts[1]
    assert second.labels.tolist() == [True, True]
    x, y = second.points[1]
    assert 20 <= x <= 30
    assert 10 <= y <= 30
    assert second.mask_logits is not None
    assert second.mask_logits[0, 0] == 1


def test_too_much_mask_gets_negative_clicks() -> None:
    model = Known(lambda prompt: [np.ones_like(SQUARE)])
    measure(model, max_clicks=3)
    assert model.prompts[2].labels.tolist() == [True, False, False]


@pytest.mark.parametrize(("max_clicks", "spent"), [(1, 1), (3, 3), (9, 9), (20, 20)])
def test_a_failure_costs_all_clicks_that_are_allowed(max_clicks: int, spent: int) -> None:
    model = Known(lambda prompt: [HALF])
    report = measure(model, max_clicks)
    assert len(report.results[0].ious) == spent
    assert report.noc(0.85) == max_clicks
    assert report.n_failures(0.85) == report.value(failures(0.85)) == 1
    assert len(model.prompts) == spent + 1


def test_nine_clicks_are_spent_on_a_mask_that_is_good_but_not_exact() -> None:
    nearly = SQUARE.copy()
    nearly[10, 10:22] = False
    report = measure(Known(lambda prompt: [nearly]))
    assert len(report.results[0].ious) == 9
    assert report.noc(0.90) == 1


def test_no_pixel_is_clicked_twice_and_the_last_iou_stays() -> None:
    nearly = SQUARE.copy()
    nearly[10, 10:13] = False
    model = Known(lambda prompt: [nearly])
    report = measure(model)
    assert len(report.results[0].ious) == 4
    last = model.prompts[3]
    assert len({tuple(xy) for xy in last.points.tolist()}) == 4
    assert report.miou_at(9) == pytest.approx(397 / 400)


def test_void_pixels_are_neither_clicked_nor_counted() -> None:
    void = np.zeros_like(SQUARE)
    void[:, 20:35] = True
    answer = SQUARE | (np.arange(SIZE) >= 22)
    model = Known(lambda prompt: [answer & ~HALF if len(prompt.points) == 1 else answer])
    target = LabelledMask(encode(SQUARE), ignore=encode(void))
    report = evaluate(model, [Sample(IMAGE, [target])], max_clicks=3)
    (result,) = report.results
    # what counts of the truth is HALF, 200 px; of the answer's surplus the columns from 35 on
    assert result.ious[0] == 0
    assert result.ious[1] == pytest.approx(200 / (200 + 5 * SIZE))
    assert model.prompts[0].points.tolist() == [[14.5, 14.5]]
    assert model.prompts[1].labels.tolist() == [True, True]
    (x, _), is_positive = model.prompts[2].points[2], model.prompts[2].labels[2]
    assert not is_positive
    assert x > 35
    assert model.prompts[3].box.tolist() == [10, 10, 20, 30]
    without = evaluate(model, [Sample(IMAGE, [encode(SQUARE)])], max_clicks=3)
    assert without.results[0].mask != result.mask


def test_a_success_after_the_ninth_click_ends_it() -> None:
    nearly = SQUARE.copy()
    nearly[10, 10] = False
    report = measure(Known(lambda prompt: [nearly if len(prompt.points) >= 12 else HALF]))
    assert report.noc(0.85) == len(report.results[0].ious) == 12
    assert report.n_failures(0.85) == 0
    last = measure(
        Known(lambda prompt: [SQUARE if len(prompt.points) >= 12 else HALF]), max_clicks=12
    )
    assert (last.noc(0.85), last.n_failures(0.85)) == (12, 0)  # reached, if with the last click


def test_calibration_compares_prediction_and_truth_bin_by_bin() -> None:
    report = measure(Known(lambda prompt: [HALF]))
    assert report.calibration_error == pytest.approx(0.5)  # 1.0 is predicted, 0.5 is true


@pytest.mark.parametrize("network", [random_starter, random_starter_lite])
def test_masks_are_annotated_alike_alone_and_together(
    network: Callable[[], Sam], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over images of two sizes. Logits differ by rounding, so a pixel at the threshold may turn.

    Then an IoU differs by one pixel's share of it; with these networks clicks stay the same.
    """
    segmenter = Segmenter(network(), "random")
    first, other = scene(), scene()
    samples = [first, Sample(other.image.transpose(1, 0, 2).copy(), other.masks.transpose(0, 2, 1))]
    clicked: dict[str, list[list[float]]] = {}

    def measured(name: str) -> InteractiveReport:
        seen = clicked[name] = []
        predict = segmenter.predict_across

        def watched(embeddings, prompts, **options):
            seen.extend(prompt.points.ravel().tolist() for prompt in prompts)
            return predict(embeddings, prompts, **options)

        monkeypatch.setattr(segmenter, "predict_across", watched)
        report = evaluate(segmenter, samples, max_clicks=4)
        monkeypatch.setattr(segmenter, "predict_across", predict)
        return report

    together = measured("together")
    monkeypatch.setattr(interactive, "MASKS_AT_ONCE", 1)
    alone = measured("alone")
    assert sorted(clicked["together"]) == sorted(clicked["alone"])
    for one, both in zip(alone.results, together.results, strict=True):
        assert (one.image, one.mask) == (both.image, both.mask)
        assert one.ious == pytest.approx(both.ious, abs=1e-3)
        assert one.box_iou == pytest.approx(both.box_iou, abs=1e-3)
        assert one.predicted_iou == pytest.approx(both.predicted_iou, abs=1e-5)


def test_run_lengths_are_masks_too_and_images_without_a_name_get_numbers() -> None:
    samples = [Sample(IMAGE, [encode(SQUARE), HALF]), Sample(IMAGE, [encode(SQUARE)], "two")]
    report = evaluate(Known(lambda prompt: [SQUARE]), samples, max_clicks=1)
    assert [result.image for result in report.results] == ["0", "0", "two"]
    assert report.results[0].mask == report.results[2].mask != report.results[1].mask
    assert (report.n_masks, report.n_images) == (3, 2)


def test_what_cannot_be_measured_is_an_error() -> None:
    model = Known(lambda prompt: [SQUARE])
    with pytest.raises(InvalidInputError, match="at least one mask"):
        evaluate(model, [])
    with pytest.raises(InvalidInputError, match="'lawn': a mask to be found must not be empty"):
        evaluate(model, [Sample(IMAGE, NOTHING[None], "lawn")])
    with pytest.raises(InvalidInputError, match="at least 1, not 0"):
        measure(model, 0)
    with pytest.raises(InvalidInputError, match="1 to 3, not 5"):
        measure(model, 3).miou_at(5)


def test_a_card_rounds_and_counts() -> None:
    card = measure(Known(lambda prompt: [SQUARE if prompt.box is None else HALF]), 3).as_card()
    assert card == {
        "1-click mIoU": 1.0,
        "1-click mIoU, best of three": 1.0,
        "3-click mIoU": 1.0,
        "box mIoU": 0.5,
        "masks": 1,
    }


def test_the_figures_and_every_mask_go_into_json() -> None:
    told = json.loads(json.dumps(measure(Known(lambda prompt: [HALF])).as_json()))
    assert told["figures"]["NoC@90"] == 20
    assert told["results"][0]["ious"][0] == 0.5
    assert "results" not in measure(Known(lambda prompt: [HALF])).as_json(with_results=False)
