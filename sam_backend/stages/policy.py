"""The stages in one table: what each is for, how it works, and when it is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sam_backend.errors import InvalidInputError, unknown_names
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.stages.gates import Figure, Gate


@dataclass(frozen=True, slots=True)
class StagePolicy:
    """One stage.

    Attributes:
        stage: "1", "2" or "3".
        name: As the paper calls it.
        aim: What it is for: accuracy, coverage or scale.
        model: What answers.
        prefill: How tasks are prefilled (`PrefillSettings` by name), under what the settings and
            the project say; None: they are not.
        grid: Points of a side of the grid on an image; None: no grid.
        accept_predicted_iou: Masks are confident from this predicted IoU and
        accept_stability: from this stability on. The table's are SAM's own, which are prefilling's
            defaults and give way to those of a checkpoint's card; a team's own go before the card.
        seconds_a_mask: Most seconds of people's time that a mask may cost.
        paper_seconds_a_mask: What it cost the paper's annotators, at the begin and at the end.
        paper_masks_an_image: What they got, at the begin and at the end.
        gold_per_hundred: Planted copies of gold images among a hundred tasks.
        retrain_every: New human masks until the model is retrained.
        up: All must pass before the next stage.
        down: Any that passes sends the project back.
        min_annotations: New ones in a stage before it is left without being asked.
    """

    stage: str
    name: str
    aim: str
    model: str
    prefill: Mapping[str, Any] | None
    grid: int | None
    accept_predicted_iou: float | None
    accept_stability: float | None
    seconds_a_mask: float
    paper_seconds_a_mask: tuple[float, float] | None
    paper_masks_an_image: tuple[float, float] | None
    gold_per_hundred: float
    retrain_every: int
    up: tuple[Gate, ...] = ()
    down: tuple[Gate, ...] = field(default=())
    min_annotations: int = 30


STAGES: tuple[StagePolicy, ...] = (
    StagePolicy(
        stage="1",
        name="assisted-manual",
        aim="accuracy",
        model="the champion, at every click",
        prefill=None,
        grid=None,
        accept_predicted_iou=None,
        accept_stability=None,
        seconds_a_mask=14.0,
        paper_seconds_a_mask=(34.0, 14.0),
        paper_masks_an_image=(20.0, 44.0),
        gold_per_hundred=10.0,
        retrain_every=200,
        up=(
            Gate(Figure.MODEL_IOU, 0.75, min_n=5),
            Gate(Figure.PEOPLE_IOU, 0.8, min_n=5),
            Gate(Figure.RETRAININGS, 1),
            Gate(Figure.PACE_GAIN, 0.15, is_least=False, min_n=30),
        ),
    ),
    StagePolicy(
        stage="2",
        name="semi-automatic",
        aim="coverage",
        model="the champion proposes, people complete",
        prefill={},
        grid=32,
        accept_predicted_iou=0.88,
        accept_stability=0.95,
        seconds_a_mask=10.0,
        paper_seconds_a_mask=None,
        paper_masks_an_image=(44.0, 72.0),
        gold_per_hundred=5.0,
        retrain_every=500,
        up=(
            Gate(Figure.ACCEPT_PROVEN, 1),
            Gate(Figure.CALIBRATION_ERROR, 0.1, is_least=False),
            Gate(Figure.CALIBRATION_DRIFT, 0, is_least=False),
            Gate(Figure.KEPT, 0.5, min_n=20),
            Gate(Figure.MASKS_GAIN, 0.15, is_least=False, min_n=30),
        ),
        down=(
            Gate(Figure.PEOPLE_IOU, 0.7, is_least=False, min_n=5),
            Gate(Figure.MODEL_IOU, 0.65, is_least=False, min_n=5),
            Gate(Figure.KEPT, 0.2, is_least=False, min_n=20),
        ),
    ),
    StagePolicy(
        stage="3",
        name="fully automatic",
        aim="scale",
        model="the champion alone, people verify a sample",
        prefill={"triage": "proven"},
        grid=32,
        accept_predicted_iou=0.88,
        accept_stability=0.95,
        seconds_a_mask=4.5,
        paper_seconds_a_mask=None,
        paper_masks_an_image=(100.0, 100.0),
        gold_per_hundred=2.0,
        retrain_every=2000,
        down=(
            Gate(Figure.REJECTED_LOTS, 2),
            Gate(Figure.CALIBRATION_DRIFT, 1),
            Gate(Figure.MODEL_IOU, 0.65, is_least=False, min_n=5),
        ),
    ),
)
"""Where the paper has a figure it is the paper's (arXiv 2304.02643, section 4 and appendix B); the
bars of the gates are ours, and a team may set others (`SAM_BACKEND_STAGES`)."""

_BARS = {"up", "down"}
_LIMITS: dict[str, tuple[float, float, bool]] = {
    "seconds_a_mask": (0.1, 1e4, False),
    "gold_per_hundred": (0.1, 100, False),
    "retrain_every": (1, 1e9, True),
    "min_annotations": (0, 1e9, True),
}
"""Least, most, and whether it is whole."""
_PREFILLED: dict[str, tuple[float, float, bool]] = {
    "grid": (1, 256, True),
    "accept_predicted_iou": (0, 1, False),
    "accept_stability": (0, 1, False),
}


def policies(told: Mapping[str, Mapping[str, Any]]) -> dict[str, StagePolicy]:
    """The stages by their number, with what a team has set otherwise.

    Args:
        told: By stage: attributes of `StagePolicy` by name; `up` and `down` by figure the bar, or
            null for a gate that is not asked.

    Raises:
        InvalidInputError: A stage, an attribute or a figure is unknown, or a value is wrong.
    """
    found = {policy.stage: policy for policy in STAGES}
    for stage, values in told.items():
        if stage not in found:
            raise InvalidInputError(f"the stages are {', '.join(found)}, not {stage!r}")
        found[stage] = _with(found[stage], values)
    return found


def _with(policy: StagePolicy, values: Mapping[str, Any]) -> StagePolicy:
    known = {*_BARS, "prefill", *_PREFILLED, *_LIMITS}
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise unknown_names("a stage", [name], known)
        if name in _BARS:
            changes[name] = _gates(getattr(policy, name), value)
        elif name == "prefill":
            if value is not None and not isinstance(value, Mapping):
                raise InvalidInputError(f"prefill is an object or null, not {value!r:.60}")
            changes[name] = value
        else:
            changes[name] = _number(policy, name, value)
    prefill = changes.get("prefill", policy.prefill)
    own = {name: changes[name] for name in _PREFILLED if name in changes}
    if own:
        if prefill is None:
            raise InvalidInputError(f"stage {policy.stage} has no prefilling: {_names(set(own))}")
        changes["prefill"] = prefill = {**prefill, **_prefilled(own)}
    if prefill is not None:
        PrefillSettings.given(prefill)  # what is wrong is said now
    return replace(policy, **changes)


def _prefilled(own: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of the table as settings of prefilling."""
    bars = {name: value for name, value in own.items() if name != "grid"}
    return bars | ({"parameters": {"points_per_side": own["grid"]}} if "grid" in own else {})


def _number(policy: StagePolicy, name: str, value: object) -> float:
    low, high, is_whole = _LIMITS.get(name) or _PREFILLED[name]
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        if not is_whole:
            return float(value)
        if int(value) == value:
            return int(value)
    kind = "a whole number" if is_whole else "a number"
    raise InvalidInputError(
        f"stage {policy.stage}'s {name} is {kind} from {low:g} to {high:g}, not {value!r:.60}"
    )


def _gates(gates: Sequence[Gate], bars: object) -> tuple[Gate, ...]:
    if not isinstance(bars, Mapping):
        raise InvalidInputError(f"gates are an object of figures and bars, not {bars!r:.60}")
    found = {gate.figure.value: gate for gate in gates}
    for name, bar in bars.items():
        if name not in found:
            raise InvalidInputError(f"no gate here looks at {name!r}; they are {_names(found)}")
        if bar is None:
            del found[name]
        elif isinstance(bar, bool) or not isinstance(bar, int | float):
            raise InvalidInputError(f"the bar of {name!r} is a number or null, not {bar!r:.60}")
        else:
            found[name] = replace(found[name], bar=float(bar))
    return tuple(found.values())


def _names(some: Mapping[str, object] | set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(some) if not name.startswith("paper_"))
