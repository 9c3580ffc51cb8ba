"""How tasks are prefilled: one set of choices for a project, given as JSON."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self, get_args

from sam_backend.errors import InvalidInputError, unknown_names
from sam_backend.labelstudio.config.tags import OUTPUT_KINDS
from sam_backend.sam.automatic.settings import PRESETS, AutomaticSettings
from sam_backend.store.cards import ModelCard

Nesting = Literal["whole", "parts", "both"]
"""`whole`: no mask inside another one; `parts`: no mask around others; `both`: all of them."""
Triage = Literal["bars", "proven"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillSettings:
    """What is proposed, what of it is believed, and how it is shown.

    The bars are those of SAM's own checkpoints; a card's `prefill` has others for its checkpoint.

    Attributes:
        proposer: Where masks come from: a name in `proposers`.
        parameters: The proposer's own, by name.
        accept_predicted_iou: Masks of at least this predicted IoU and
        accept_stability: of at least this stability are prefilled as confident (paper, appendix B:
            0.88 and 0.95).
        review_predicted_iou: Less confident ones of at least this predicted IoU and
        review_stability: of at least this stability are shown with their lower score; the rest is
            kept in our store only.
        triage: What decides: `bars`, or what is `proven` of the model version
            (`sam-backend quality calibrate`); the scores are calibrated either way, once they can
            be.
        audit_share: Share of the masks accepted or discarded by proof that are shown for
            review whatever their score, drawn at random.
        nesting: What stays of an object and its parts: `whole` objects, `parts`, or `both`.
        duplicate_iou: Only the surest of proposals with at least this IoU stays.
        repeat_iou: A proposal is no news from this IoU with what a person has drawn.
        repeat_containment: One lies inside another from this share of its pixels.
        min_area_px: Specks are removed and holes filled under it (paper, appendix B: 100 px).
        max_masks: Most masks of one task: more would freeze Label Studio's editor (its issue
            4940).
        label: Label of every mask; None: the first label of the tag that shows it.
        review_label: Label of masks to review instead, so that people see which; None: the
            same.
        output: The kind of tag that shows masks; `auto`: of those that the project's config has,
            bitmask, polygon, brush, rectangle, in this order; tags marked `sam="output"` are kept
            to.
        gap_points: Key points that say where to look for what is missing; 0: none.
        classifier: Names the labels instead: a name in `labelling`; None: no classifier.

    Raises:
        InvalidInputError: A value is out of its range.
    """

    proposer: str = "grid"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    accept_predicted_iou: float = 0.88
    accept_stability: float = 0.95
    review_predicted_iou: float = 0.8
    review_stability: float = 0.9
    triage: Triage = "bars"
    audit_share: float = 0.02
    nesting: Nesting = "both"
    duplicate_iou: float = 0.7
    repeat_iou: float = 0.5
    repeat_containment: float = 0.8
    min_area_px: int = 100
    max_masks: int = 100
    label: str | None = None
    review_label: str | None = None
    output: str = "auto"
    gap_points: int = 0
    classifier: str | None = None

    def __post_init__(self) -> None:
        for name in _SHARES:
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= 1:
                raise InvalidInputError(f"prefill's {name} must be within 0 and 1, not {value!r}")
        for name, least in (("min_area_px", 0), ("max_masks", 1), ("gap_points", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InvalidInputError(
                    f"prefill's {name} must be a whole number from {least} on, not {value!r}"
                )
        for name, known in (
            ("nesting", get_args(Nesting)),
            ("triage", get_args(Triage)),
            ("output", ("auto", *OUTPUT_KINDS)),
        ):
            if getattr(self, name) not in known:
                raise InvalidInputError(
                    f"prefill's {name} must be one of {', '.join(known)}, "
                    f"not {getattr(self, name)!r}"
                )
        if not isinstance(self.parameters, Mapping):
            raise InvalidInputError(
                f"prefill's parameters must be an object, not {self.parameters!r:.60}"
            )
        for what in ("predicted_iou", "stability"):
            accept, review = (getattr(self, f"{name}_{what}") for name in ("accept", "review"))
            if review > accept:
                raise InvalidInputError(
                    f"prefill's review_{what} {review:g} must not be above accept_{what} {accept:g}"
                )

    @classmethod
    def of(cls, card: ModelCard, *given: Mapping[str, Any]) -> Self:
        """A checkpoint's own bars, and over them what is given, as of `given`."""
        return cls.given(card.prefill, *given)

    @classmethod
    def given(cls, *given: Mapping[str, Any]) -> Self:
        """Return the settings that mappings give; a later mapping goes before an earlier one.

        The key `preset` names a preset of the proposer `grid` (`sam.automatic.settings.PRESETS`);
        it also sets the bars, see `layered`. A bar for review that nobody gave goes down with the
        bar for accepting.

        Raises:
            InvalidInputError: A name is unknown, or a value wrong.
        """
        told = layered(*given)
        known = {one.name for one in fields(cls)}
        if unknown := told.keys() - known - {PRESET}:
            if of_grid := sorted(unknown & {one.name for one in fields(AutomaticSettings)}):
                raise InvalidInputError(
                    f"{of_grid[0]} is of the proposer 'grid', not of prefilling: set "
                    f'parameters={{"{of_grid[0]}": …}}'
                )
            raise unknown_names("prefill", unknown, {*known, PRESET})
        if (preset := told.pop(PRESET, None)) is not None:
            told = _of_preset(preset, told)
        for what in ("predicted_iou", "stability"):
            accept, default = told.get(f"accept_{what}"), getattr(cls(), f"review_{what}")
            if f"review_{what}" not in told and isinstance(accept, int | float):
                told[f"review_{what}"] = min(default, accept)
        return cls(**told)

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that tell these settings from others."""
        told = json.dumps(asdict(replace(self, parameters=dict(self.parameters))), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:8]


PRESET = "preset"
_BARS = {
    "accept_predicted_iou": "predicted_iou",
    "accept_stability": "stability",
    "duplicate_iou": "box_nms",
    "min_area_px": "min_area_px",
}
"""Prefill settings that a preset of the grid decides, by its own names for them."""
_SET_BY_PRESET = ("parameters", "review_predicted_iou", "review_stability", *_BARS)


def layered(*given: Mapping[str, Any]) -> dict[str, Any]:
    """Return prefill settings put over each other; a later mapping goes before an earlier one.

    Where a mapping names a preset with thresholds, what earlier mappings say of the settings that
    it decides (the grid's parameters, the bars, NMS, specks) no longer counts; and where one names
    another proposer than the grid, an earlier preset does not. Parameters of another proposer do
    not count either.
    """
    preset: object = None
    decides = -1  # the place of the mapping whose preset has thresholds
    for place, one in enumerate(given):
        if PRESET in one:
            preset = one[PRESET]
            decides = place if _bars(preset) else -1
        elif one.get("proposer", "grid") != "grid":
            preset, decides = None, -1
    settings: dict[str, Any] = {}
    for place, one in enumerate(given):
        of_earlier = settings.get("proposer", "grid")
        if one.get("proposer", of_earlier) != of_earlier:
            settings.pop("parameters", None)
        settings |= {k: v for k, v in one.items() if place >= decides or k not in _SET_BY_PRESET}
    if PRESET in settings:
        settings[PRESET] = preset  # None is kept: it may be put over the same mappings again
    return settings


def _of_preset(preset: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a preset with what was told over them."""
    parameters = told.get("parameters", {})
    if not isinstance(parameters, Mapping):
        raise InvalidInputError(f"prefill's parameters must be an object, not {parameters!r:.60}")
    parameters = {PRESET: preset, **parameters}
    if told.get("proposer", "grid") != "grid":
        raise InvalidInputError(
            f"preset {preset!r} is for the proposer 'grid', not for {told['proposer']!r}"
        )
    AutomaticSettings.of({}, **parameters)  # a wrong name is told here
    return {**_bars(preset), **told, "parameters": parameters}


def _bars(preset: object) -> dict[str, Any]:
    """Return the prefill settings that a preset of the grid decides; none if it does not exist."""
    grid = PRESETS[preset] if isinstance(preset, str) and preset in PRESETS else {}
    return {bar: grid[name] for bar, name in _BARS.items() if name in grid}


_SHARES = (
    "accept_predicted_iou",
    "accept_stability",
    "review_predicted_iou",
    "review_stability",
    "audit_share",
    "duplicate_iou",
    "repeat_iou",
    "repeat_containment",
)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
