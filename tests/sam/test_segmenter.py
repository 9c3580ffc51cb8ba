"""The segmenter must answer as `segment_anything.SamPredictor` does, for every kind of prompt."""

import threading

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import calculate_stability_score

from sam_backend.errors import InvalidInputError, PromptError
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.types import Candidate, Embedding, Prompt
from tests.sam.networks import random_starter, random_starter_lite, small_sam

SIZES = {
    "landscape": (90, 200),
    "portrait": (211, 77),
    "square of the model's side": (64, 64),
    "smaller than the model": (20, 33),
    "much larger": (700, 501),
    "one pixel wide": (200, 1),
    "one pixel high": (1, 200),
    "one pixel": (1, 1),
}


NETWORKS = {"small": small_sam, "starter": random_starter, "starter_lite": random_starter_lite}


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=NETWORKS.keys())
def sam(request: pytest.FixtureRequest) -> Sam:
    return request.param()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def prompts(height: int, width: int, mask_side: int) -> dict[str, Prompt]:
    one = np.array([[width * 0.3, height * 0.6]], np.float32)
    three = np.array([[0, 0], [width - 1, height - 1], [width * 0.5, height * 0.25]], np.float32)
    box = np.array([width * 0.1, height * 0.2, width * 0.9, height * 0.7], np.float32)
    logits = np.random.default_rng(3).normal(0, 8, (mask_side, mask_side)).astype(np.float32)
    yes, mixed = np.array([True]), np.array([True, False, True])
    return {
        "a click": Prompt(one, yes),
        "a negative click": Prompt(one, ~yes),
        "three clicks": Prompt(three, mixed),
        "a box": Prompt(box=box),
        "a box and clicks": Prompt(three, mixed, box),
        "logits": Prompt(mask_logits=logits),
        "clicks and logits": Prompt(three, mixed, mask_logits=logits),
        "a box, clicks and logits": Prompt(three, mixed, box, logits),
    }


def reference(predictor: SamPredictor, prompt: Prompt, multimask: bool) -> list[np.ndarray]:
    """Full-size and low-resolution logits, IoUs and stabilities; best predicted IoU first."""
    arguments = {
        "point_coords": prompt.points if len(prompt.points) else None,
        "point_labels": prompt.labels if len(prompt.points) else None,
        "box": prompt.box,
        "mask_input": None if prompt.mask_logits is None else prompt.mask_logits[None],
        "multimask_output": multimask,
    }
    full, ious, logits = predictor.predict(**arguments, return_logits=True)
    stabilities = calculate_stability_score(torch.as_tensor(full), 0.0, 1.0).numpy()
    order = np.argsort(-ious, kind="stable")
    return [values[order] for values in (full, logits, ious, np.nan_to_num(stabilities))]


def assert_same(candidates: list[Candidate], expected: list[np.ndarray]) -> None:
    full, logits, ious, stabilities = expected
    assert len(candidates) == len(full)
    for index, candidate in enumerate(candidates):
        # as `PromptDecoder` promises; the tests' sharpened networks have logits up to 60
        atol = 1e-5 * float(np.abs(logits[index]).max())
        np.testing.assert_allclose(candidate.logits, logits[index], rtol=1e-4, atol=atol)
        # torch rounds differently when it resizes one mask or three: 5e-6 of a logit
        differs = candidate.mask != (full[index] > 0)
        assert not (differs & (np.abs(full[index]) > 1e-4)).any()
        assert candidate.predicted_iou == pytest.approx(ious[index], abs=1e-5)
        assert candidate.stability == pytest.approx(stabilities[index], abs=1e-3)


@pytest.mark.parametrize("size", ["landscape", "portrait", "smaller than the model", "much larger"])
@pytest.mark.parametrize("multimask", [True, False])
def test_equals_sam_predictor(sam: Sam, size: str, multimask: bool) -> None:
    image = picture(*SIZES[size])
    segmenter, predictor = Segmenter(sam, "random"), SamPredictor(sam)
    predictor.set_image(image)
    embedding = segmenter.embed(image)
    features = predictor.features[0].numpy()
    np.testing.assert_allclose(embedding.features, features, atol=1e-5 * np.abs(features).max())
    for name, prompt in prompts(*SIZES[size], segmenter.mask_side).items():
        expected = reference(predictor, prompt, multimask)
        shows = [0 < (full > 0).mean() < 1 for full in expected[0]]
        assert any(shows), f"{name}: empty or full masks show nothing"
        assert_same(segmenter.predict(embedding, prompt, multimask), expected)


@pytest.mark.parametrize("size", SIZES)
def test_every_image_size_gives_masks_of_that_size(size: str) -> None:
    segmenter = Segmenter(small_sam(), "random")
    embedding = segmenter.embed(picture(*SIZES[size]))
    assert embedding.image_size == SIZES[size]
    assert max(embedding.input_size) == 64
    assert min(embedding.input_size) >= 1
    for candidate in segmenter.predict(
        embedding, Prompt(np.zeros((1, 2), np.float32), np.array([True]))
    ):
        assert candidate.mask.shape == SIZES[size]
        assert candidate.mask.dtype == np.bool_
        assert np.isfinite(candidate.logits).all()


def test_a_refinement_feeds_the_logits_back(sam: Sam) -> None:
    image = picture(90, 120)
    segmenter, predictor = Segmenter(sam, "random"), SamPredictor(sam)
    predictor.set_image(image)
    embedding = segmenter.embed(image)
    first = segmenter.predict(
        embedding, Prompt(np.array([[60, 40]], np.float32), np.array([True]))
    )[0]
    second = Prompt(
        np.array([[60, 40], [10, 10]], np.float32), np.array([True, False]), None, first.logits
    )
    assert_same(segmenter.predict(embedding, second), reference(predictor, second, False))


def test_only_a_lone_click_is_ambiguous() -> None:
    segmenter = Segmenter(small_sam(), "random")
    embedding = segmenter.embed(picture(50, 50))
    counts = {
        name: len(segmenter.predict(embedding, prompt))
        for name, prompt in prompts(50, 50, segmenter.mask_side).items()
    }
    assert {name for name, count in counts.items() if count == 3} == {"a click", "a negative click"}
    assert {count for name, count in counts.items() if "a " not in name or "box" in name} == {1}


def test_candidates_come_best_first_and_a_limit_keeps_the_best() -> None:
    segmenter = Segmenter(random_starter(), "random")
    embedding = segmenter.embed(picture(50, 80))
    prompt = prompts(50, 80, segmenter.mask_side)["a click"]
    three = segmenter.predict(embedding, prompt)
    ious = [candidate.predicted_iou for candidate in three]
    assert ious == sorted(ious, reverse=True)
    assert len(set(ious)) == 3
    (best,) = segmenter.predict(embedding, prompt, limit=1)
    assert best.predicted_iou == three[0].predicted_iou
    np.testing.assert_array_equal(best.mask, three[0].mask)


def test_many_prompts_answer_in_their_order_as_each_would_alone() -> None:
    segmenter = Segmenter(small_sam(), "random")
    embedding = segmenter.embed(picture(60, 90))
    kinds = list(prompts(60, 90, segmenter.mask_side).values())
    boxes = [Prompt(box=np.array([x, 5, x + 20, 30], np.float32)) for x in range(70)]
    mixed = [*kinds, *boxes, *reversed(kinds)]
    for prompt, together in zip(mixed, segmenter.predict_many(embedding, mixed), strict=True):
        alone = segmenter.predict(embedding, prompt)
        assert len(alone) == len(together)
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_allclose(one.logits, other.logits, rtol=1e-4, atol=1e-4)
            assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-5)
    assert segmenter.predict_many(embedding, []) == []


def test_prompts_on_many_images_answer_in_their_order_as_each_would_alone(sam: Sam) -> None:
    segmenter = Segmenter(sam, "random")
    sizes = [(60, 90), (90, 60), (60, 90)]
    images = [segmenter.embed(picture(*size, seed)) for seed, size in enumerate(sizes)]
    asked = [
        (embedding, prompt)
        for turn in (1, -1)
        for embedding, size in list(zip(images, sizes, strict=True))[::turn]
        for prompt in prompts(*size, segmenter.mask_side).values()
    ]
    embeddings, mixed = zip(*asked, strict=True)
    answers = segmenter.predict_across(embeddings, mixed, limit=2)
    for embedding, prompt, together in zip(embeddings, mixed, answers, strict=True):
        alone = segmenter.predict(embedding, prompt, limit=2)
        assert len(alone) == len(together)
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_allclose(one.logits, other.logits, rtol=1e-4, atol=1e-3)
            assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-5)
            assert one.rle.size == other.rle.size == embedding.image_size
            assert np.mean(one.mask != other.mask) < 1e-3
    assert segmenter.predict_across([], []) == []
    wrong = Prompt(mask_logits=np.zeros((3, 3), np.float32))
    with pytest.raises(PromptError, match="mask_logits must have shape"):
        segmenter.predict_across([images[0]], [wrong])


def test_the_version_names_checkpoint_and_settings() -> None:
    sam = small_sam()
    version = Segmenter(sam, "starter-1", "ab" * 32).model_version
    assert version == Segmenter(sam, "starter-1", "ab" * 32).model_version
    assert version.startswith("starter-1+")
    assert len(version) == len("starter-1+") + 8
    others = {
        Segmenter(sam, "starter-1", "cd" * 32).model_version,
        Segmenter(sam, "starter-2", "ab" * 32).model_version,
        Segmenter(small_sam(side=128), "starter-1", "ab" * 32).model_version,
    }
    assert len(others | {version}) == 4
    assert Segmenter(sam, "a").preprocessing != Segmenter(small_sam(side=128), "a").preprocessing


def test_the_fingerprint_is_the_same_in_every_run() -> None:
    assert Segmenter(small_sam(), "v", "00" * 32).model_version == "v+6d69278f"


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        np.zeros((0, 5, 3), np.uint8),
    ],
)
def test_refuses_what_is_no_rgb_image(image: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match=r"must be uint8 of shape \(H, W, 3\), not"):
        Segmenter(small_sam(), "v").embed(image)


def test_refuses_logits_of_another_model() -> None:
    segmenter = Segmenter(small_sam(), "v")
    embedding = segmenter.embed(picture(30, 30))
    with pytest.raises(PromptError, match=r"shape \(16, 16\), not \(256, 256\)"):
        segmenter.predict(embedding, Prompt(mask_logits=np.zeros((256, 256), np.float32)))


def test_an_embedding_cannot_be_changed_by_who_holds_it() -> None:
    features = Segmenter(small_sam(), "v").embed(picture(30, 30)).features
    with pytest.raises(ValueError, match="read-only"):
        features[0, 0, 0] = 1


def test_threads_never_get_each_others_answer() -> None:
    """Two threads, each with its own image, 1,000 rounds in all, against answers got alone."""
    segmenter = Segmenter(small_sam(), "v")
    images = [picture(40, 60, seed=1), picture(70, 30, seed=2)]
    prompt = Prompt(np.array([[20, 20]], np.float32), np.array([True]))
    alone = [segmenter.predict(segmenter.embed(image), prompt)[0] for image in images]
    assert not np.allclose(alone[0].logits, alone[1].logits, atol=1e-2)
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(500):
            answer = segmenter.predict(segmenter.embed(images[index]), prompt)[0]
            if not np.allclose(answer.logits, alone[index].logits, atol=1e-3):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_nothing_is_written_after_construction() -> None:
    segmenter = Segmenter(small_sam(), "v")
    before = dict(vars(segmenter))
    weights = {name: value.clone() for name, value in segmenter._sam.state_dict().items()}
    embedding: Embedding = segmenter.embed(picture(30, 30))
    segmenter.predict(embedding, Prompt(box=np.array([1, 1, 9, 9], np.float32)))
    assert vars(segmenter) == before
    for name, value in segmenter._sam.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_what_is_kept_of_an_image_never_answers_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More images than are kept, each dropped at once, so that its id may name the next one."""
    sam, prompt = small_sam(), Prompt(np.array([[20.0, 10.0]], np.float32), np.array([True]))
    side = Segmenter(sam, "v")
    one = side.embed(picture(30, 40))
    monkeypatch.setattr(
        "sam_backend.sam.embed_and_prompt.IMAGE_SIDES_BYTES", 2 * side._opened(one).n_bytes
    )
    segmenter = Segmenter(sam, "v")
    for seed in range(12):
        image = np.random.default_rng(seed % 5).integers(0, 256, (30, 40, 3), np.uint8)
        embedding = segmenter.embed(image)
        for _ in range(2):
            answer = segmenter.predict(embedding, prompt)[0]
            fresh = Segmenter(sam, "v").predict(embedding, prompt)[0]
            np.testing.assert_allclose(answer.logits, fresh.logits, atol=1e-4)
        del embedding
