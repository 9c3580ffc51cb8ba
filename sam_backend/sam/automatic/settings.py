"""Which masks the automatic generator looks for, and which of them it keeps."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from sam_backend.errors import InvalidInputError, suggestion, unknown_names

_SHARES = (
    "predicted_iou",
    "stability",
    "box_nms",
    "crop_nms",
    "crop_overlap",
    "max_image_share",
    "coarse_cover",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticSettings:
    """What is looked for and kept; the defaults are `SamAutomaticMaskGenerator`'s.

    They suit SAM's own checkpoints. Predicted IoUs are honest estimates: a smaller network that
    hardly ever reaches 0.88 on photos says so, and its card has thresholds of its own.

    Attributes:
        points_per_side: Points per side of the grid on the whole image.
        predicted_iou: Masks have a higher predicted IoU; 0 keeps all.
        stability: Masks have at least this stability; 0 keeps all.
        stability_offset: Distance in logits of the two cuts that stability compares.
        box_nms: Most IoU of two masks' boxes within a crop.
        crop_layers: Layer n cuts the image into 2^n x 2^n overlapping crops; 0: no crops.
        crop_nms: Most IoU of two masks' boxes from different crops.
        crop_overlap: Overlap of neighbouring crops in layer 1, as a share of the image's
            short side; halved with each layer.
        crop_points_divisor: Points per side are divided by it from layer to layer.
        min_area_px: Smaller specks are removed and smaller holes filled; 0: none.
        max_image_share: Masks that cover this share of the image, or more, are dropped; None: none.
        coarse_step: 1 asks every point. 2, 4, 8 … **changes results**: asks every 2nd, 4th … point
            of a row and column first, and then, step by step, only the points between that no
            kept mask covers. With 2, starter-2 on two photos: 2 to 2.6 times fewer points, of the
            masks 58 to 76 % again at an IoU of 0.7, 86 to 95 % at 0.5.
        coarse_cover: Masks that take up more than this share of their crop cover no point: their
            parts are still looked for. With 1 nearly every point of a photo is covered at once.

    Raises:
        InvalidInputError: A value is out of its range, or a layer of crops has no point.
    """

    points_per_side: int = 32
    predicted_iou: float = 0.88
    stability: float = 0.95
    stability_offset: float = 1.0
    box_nms: float = 0.7
    crop_layers: int = 0
    crop_nms: float = 0.7
    crop_overlap: float = 512 / 1500
    crop_points_divisor: int = 1
    min_area_px: int = 0
    max_image_share: float | None = None
    coarse_step: int = 1
    coarse_cover: float = 0.05

    @classmethod
    def reference(
        cls,
        points_per_side: int = 32,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        min_mask_region_area: int = 0,
    ) -> Self:
        """The settings of `segment_anything.SamAutomaticMaskGenerator`, by its names.

        Its `points_per_batch` and `output_mode` are of no meaning here.

        Raises:
            InvalidInputError: A value is out of its range.
        """
        return cls(
            points_per_side=points_per_side,
            predicted_iou=pred_iou_thresh,
            stability=stability_score_thresh,
            stability_offset=stability_score_offset,
            box_nms=box_nms_thresh,
            crop_layers=crop_n_layers,
            crop_nms=crop_nms_thresh,
            crop_overlap=crop_overlap_ratio,
            crop_points_divisor=crop_n_points_downscale_factor,
            min_area_px=min_mask_region_area,
        )

    @classmethod
    def paper(cls) -> Self:
        """The recipe that made SA-1B (arXiv 2304.02643, appendix B).

        32x32 points on the image, 16x16 and 8x8 on each of 2x2 and 4x4 crops; masks over 95 % of
        the image dropped; specks and holes under 100 px.
        """
        return cls(crop_layers=2, crop_points_divisor=2, min_area_px=100, max_image_share=0.95)

    @classmethod
    def of(
        cls, card: Mapping[str, float], preset: str | None = None, **given: float | None
    ) -> Self:
        """Return the settings of a model card, with a preset and given values over them.

        Args:
            card: Some of the attributes by name.
            preset: A name in `PRESETS`; None: no preset.
            given: Attributes by name; None: not given.

        Raises:
            InvalidInputError: A name is unknown, or a value is no number or out of its range.
        """
        if preset is not None and preset not in tuple(PRESETS):  # a list has no hash
            known = ", ".join(PRESETS)
            raise InvalidInputError(
                f"there is no preset {preset!r}{suggestion(str(preset), PRESETS)}; known: {known}"
            )
        base = {**card, **({} if preset is None else PRESETS[preset])}
        told = base | {name: value for name, value in given.items() if value is not None}
        kinds = {field.name: field.type for field in fields(cls)}
        if unknown := told.keys() - kinds.keys():
            raise unknown_names("the automatic generator", unknown, kinds)
        return cls(**{name: _number(name, value, kinds[name]) for name, value in told.items()})

    def __post_init__(self) -> None:
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InvalidInputError(f"{name} must be between 0 and 1, not {value}")
        least = {"points_per_side": 1, "crop_layers": 0, "crop_points_divisor": 1, "min_area_px": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InvalidInputError(f"{name} must be at least {low}, not {getattr(self, name)}")
        if self.stability_offset < 0:
            raise InvalidInputError(
                f"stability_offset must not be negative, not {self.stability_offset}"
            )
        if self.coarse_step < 1 or self.coarse_step & (self.coarse_step - 1):
            raise InvalidInputError(f"coarse_step must be 1, 2, 4, 8 …, not {self.coarse_step}")
        if not self.points_of_layer(self.crop_layers):
            raise InvalidInputError(
                f"points_per_side {self.points_per_side} leaves no point for crop layer "
                f"{self.crop_layers}, divided by {self.crop_points_divisor} from layer to layer"
            )

    def points_of_layer(self, layer: int) -> int:
        """Points per side of the grid on a crop of this layer; 0 is the whole image."""
        return int(self.points_per_side / self.crop_points_divisor**layer)

    @property
    def fingerprint(self) -> str:
        """Eight letters that differ where any setting does; for records."""
        told = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:8]


def _number(name: str, value: object, kind: object) -> Any:
    """Return a setting's value as the number that it is; a card's numbers are all floats."""
    is_whole = kind is int
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not is_whole:
            return value
        if int(value) == value:
            return int(value)
    wanted = "a whole number" if is_whole else "a number"
    raise InvalidInputError(f"{name} must be {wanted}, not {value!r:.60}")


PRESETS: Mapping[str, Mapping[str, float | None]] = {
    "paper": asdict(AutomaticSettings.paper()),
    "segment_anything": asdict(AutomaticSettings.reference()),
    "fast": {"crop_layers": 0, "coarse_step": 4},
}
"""Settings by the name that `--preset` takes. `fast` leaves the thresholds as they are."""
