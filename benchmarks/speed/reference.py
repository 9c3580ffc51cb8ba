"""What `segment_anything` and Label Studio's SDK do on each path."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from label_studio_sdk.converter.brush import mask2rle
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import (
    batched_mask_to_box,
    calculate_stability_score,
    mask_to_rle_pytorch,
)

from benchmarks.speed.clicks import as_text
from benchmarks.speed.networks import Network
from benchmarks.speed.outcome import Outcome, box_of
from sam_backend.masks import rle
from sam_backend.sam.types import Prompt

POINTS_PER_BATCH = 64
"""The generator's own default."""

Raw = list[dict[str, object]]
RawShapes = tuple[torch.Tensor, torch.Tensor, Raw]


class Reference:
    """The reference's calls, as its notebooks make them.

    Args:
        network: Its own, so that nobody else can change the weights.
    """

    def __init__(self, network: Network) -> None:
        self._sam, self.thresholds = network.sam, network.thresholds
        self.predictor = SamPredictor(network.sam)

    def take(self, image: npt.NDArray[np.uint8], points_per_side: int) -> None:
        """Work on an image, RGB, shape (H, W, 3) uint8, and with a grid of so many points."""
        self._image, self._points_per_side = image, points_per_side
        self.predictor.reset_image()
        self._generator = self._make_generator(POINTS_PER_BATCH)

    def _make_generator(
        self, points_per_batch: int, images_per_batch: int = 1
    ) -> SamAutomaticMaskGenerator:
        generator = SamAutomaticMaskGenerator(
            self._sam,
            points_per_side=self._points_per_side,
            points_per_batch=points_per_batch,
            pred_iou_thresh=self.thresholds.pred_iou_thresh,
            stability_score_thresh=self.thresholds.stability_score_thresh,
            box_nms_thresh=self.thresholds.box_nms_thresh,
            output_mode="uncompressed_rle",  # the cheapest of its three
        )
        generator.predictor = _Remembering(self._sam, images_per_batch)
        return generator

    def embed(self) -> None:
        """Encode the image."""
        self.predictor.set_image(self._image)

    @property
    def is_embedded(self) -> bool:
        """Whether the image has been encoded."""
        return bool(self.predictor.is_image_set)

    def features(self) -> npt.NDArray[np.float32]:
        """The embedding, shape (C, h, w)."""
        features: npt.NDArray[np.float32] = self.predictor.features[0].float().cpu().numpy()
        return features

    def click(self, prompt: Prompt) -> str:
        """From a prompt to the region's JSON."""
        masks, ious, _ = self._predict(prompt)
        packed = mask2rle(masks[ious.argmax()].astype(np.uint8) * 255)
        value = {"format": "rle", "rle": packed, "brushlabels": ["Object"]}
        height, width = masks.shape[1:]
        region = {
            "type": "brushlabels",
            "from_name": "brush",
            "to_name": "image",
            "original_width": width,
            "original_height": height,
            "score": float(ious.max()),
            "value": value,
        }
        return as_text([region])

    def _predict(self, prompt: Prompt) -> tuple[npt.NDArray[np.bool_], ...]:
        masks, ious, logits = self.predictor.predict(
            point_coords=prompt.points,
            point_labels=prompt.labels.astype(np.int64),
            mask_input=None if prompt.mask_logits is None else prompt.mask_logits[None],
            multimask_output=prompt.is_ambiguous,
        )
        return masks, ious, logits

    def clicked(self, prompt: Prompt, number: int) -> list[Outcome]:
        """All masks of a prompt, best predicted IoU first."""
        return _by_iou(number, *self._predict(prompt))

    def encoded_again(self) -> "Reference":
        """Another one, whose image is encoded in another batch."""
        again = Reference(Network("again", self._sam, self.thresholds))
        again.predictor = _Remembering(self._sam, images_per_batch=2)
        again.take(self._image, self._points_per_side)
        again.embed()
        return again

    def clicked_together(self, prompts: Sequence[Prompt]) -> list[Outcome]:
        """The same for prompts with the same parts, decoded in one batch."""
        xy, labels = self._points(prompts)
        masks = [p.mask_logits for p in prompts if p.mask_logits is not None]
        dense = torch.as_tensor(np.stack(masks)[:, None], device=xy.device) if masks else None
        answers = self.predictor.predict_torch(
            xy, labels, mask_input=dense, multimask_output=prompts[0].is_ambiguous
        )
        arrays = [answer.cpu().numpy() for answer in answers]
        return [
            outcome
            for number, parts in enumerate(zip(*arrays, strict=True))
            for outcome in _by_iou(number, *parts)
        ]

    def _points(self, prompts: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        xy = np.stack([prompt.points for prompt in prompts])
        moved = self.predictor.transform.apply_coords(xy, self.predictor.original_size)
        points = torch.as_tensor(moved, dtype=torch.float, device=self.predictor.device)
        return points, torch.ones(points.shape[:2], dtype=torch.int, device=points.device)

    def low_res_logits(self, prompts: Sequence[Prompt]) -> torch.Tensor:
        """The decoder's answers to lone clicks, one mask of each in turn, shape (N, L, L)."""
        _, _, logits = self.predictor.predict_torch(*self._points(prompts))
        row = torch.arange(len(logits), device=logits.device)
        return logits[row, row % logits.shape[1]].contiguous()

    def shapes(self, logits: torch.Tensor) -> RawShapes:
        """From low-resolution logits, shape (N, L, L), to stability, boxes and run lengths."""
        sizes = self.predictor.input_size, self.predictor.original_size
        full = self._sam.postprocess_masks(logits[:, None], *sizes)[:, 0]
        scores = calculate_stability_score(full, self._sam.mask_threshold, 1.0)
        masks = full > self._sam.mask_threshold
        return scores.cpu(), batched_mask_to_box(masks).cpu(), mask_to_rle_pytorch(masks)

    def shaped(self, raw: RawShapes) -> list[Outcome]:
        """What `shapes` gave; an empty mask has stability 0, where the original says 0 / 0."""
        scores, boxes, rles = raw
        return [
            Outcome(
                key=(number,),
                rle=rle.from_coco(one),
                box=_box(box.tolist()),
                stability=float(score.nan_to_num(0.0)),
            )
            for number, (score, box, one) in enumerate(zip(scores, boxes, rles, strict=True))
        ]

    def generate(self) -> Raw:
        """All masks of the image."""
        found: Raw = self._generator.generate(self._image)
        return found

    def generated(self, raw: Raw) -> list[Outcome]:
        """What `generate` gave."""
        return self._records(raw, self._generator)

    def generated_again(self) -> list[Outcome]:
        """The same masks, encoded and decoded in other batches."""
        generator = self._make_generator(points_per_batch=1, images_per_batch=2)
        return self._records(generator.generate(self._image), generator)

    def _records(self, raw: Raw, generator: SamAutomaticMaskGenerator) -> list[Outcome]:
        size = np.array([self._image.shape[1], self._image.shape[0]])
        grid = generator.point_grids[0] * size
        ious = torch.cat(generator.predictor.told).cpu().numpy()
        return [_record(record, grid, ious) for record in raw]


class _Remembering(SamPredictor):
    """Keeps the predicted IoUs of its last image: records do not tell their mask index.

    Args:
        sam: The network.
        images_per_batch: An image is encoded with so many copies of itself.
    """

    def __init__(self, sam: Sam, images_per_batch: int = 1) -> None:
        super().__init__(sam)
        self._images_per_batch = images_per_batch

    @torch.no_grad()
    def set_torch_image(
        self, transformed_image: torch.Tensor, original_image_size: tuple[int, ...]
    ) -> None:
        copies = transformed_image.expand(self._images_per_batch, -1, -1, -1)
        super().set_torch_image(copies, original_image_size)
        self.features = self.features[:1]

    def set_image(self, image: npt.NDArray[np.uint8], image_format: str = "RGB") -> None:
        self.told: list[torch.Tensor] = []
        super().set_image(image, image_format)

    def predict_torch(self, *args: object, **kwargs: object) -> tuple[torch.Tensor, ...]:
        answer: tuple[torch.Tensor, ...] = super().predict_torch(*args, **kwargs)
        self.told.append(answer[1])
        return answer


def _by_iou(
    number: int,
    masks: npt.NDArray[np.bool_],
    ious: npt.NDArray[np.float32],
    logits: npt.NDArray[np.float32],
) -> list[Outcome]:
    order = np.argsort(-ious, kind="stable").tolist()
    return [
        Outcome(
            key=(number, rank),
            rle=rle.encode(masks[index]),
            box=box_of(masks[index]),
            predicted_iou=float(ious[index]),
            logits=logits[index],
        )
        for rank, index in enumerate(order)
    ]


def _record(
    record: dict[str, object], grid: npt.NDArray[np.float64], ious: npt.NDArray[np.float32]
) -> Outcome:
    """A generator's record; the grid's points and all their predicted IoUs tell its mask index."""
    [point] = np.array(record["point_coords"])
    row = int(np.abs(grid - point).sum(axis=1).argmin())
    index = int(np.abs(ious[row] - record["predicted_iou"]).argmin())
    return Outcome(
        key=(*_corners(record["crop_box"]), *np.round(point, 2).tolist(), index),
        rle=rle.from_coco(record["segmentation"]),
        box=_corners(record["bbox"]),
        predicted_iou=float(record["predicted_iou"]),
        stability=float(record["stability_score"]),
    )


def _box(numbers: Sequence[float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(number) for number in numbers)
    return (x0, y0, x1, y1)


def _corners(xywh: object) -> tuple[float, float, float, float]:
    """XYWH as `segment_anything` writes it to XYXY."""
    x, y, width, height = np.asarray(xywh, np.float64).tolist()
    return (x, y, x + width, y + height)
