"""Where a project stands to its gates, and its moves from stage to stage."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.stages.gates import Checked, Figure, Reading
from sam_backend.stages.policy import StagePolicy
from sam_backend.stages.stage_metrics import Evidence
from sam_backend.store.stage_moves import StageMove, StageMoves

AUTOMATIC = "automatic"
"""Who moves a project when nobody is asked."""


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A project before its gates.

    Attributes:
        policy: Policy of the stage that it is in; of the first one if nobody has put it into one.
        move: That brought it there; None: nobody has.
        up: All must pass before the next stage; empty in the last one.
        down: Any that passes sends it back; empty in the first one.
        readings: All figures that are known.
        new_annotations: Submitted since the move.
    """

    policy: StagePolicy
    move: StageMove | None
    up: tuple[Checked, ...]
    down: tuple[Checked, ...]
    readings: Mapping[Figure, Reading]
    new_annotations: int

    @property
    def may_advance(self) -> bool:
        """Every gate up passes."""
        return bool(self.up) and all(one.passes for one in self.up)

    @property
    def must_retreat(self) -> bool:
        """A gate down passes."""
        return any(one.passes for one in self.down)

    @property
    def is_settled(self) -> bool:
        """Enough was labelled since the last move to judge it by."""
        return self.new_annotations >= self.policy.min_annotations


def standing(evidence: Evidence, policies: Mapping[str, StagePolicy]) -> Standing:
    """Check every gate of the stage that a project is in."""
    policy = policies[evidence.stage or next(iter(policies))]
    readings = evidence.readings()
    return Standing(
        policy=policy,
        move=evidence.moves[-1] if evidence.moves else None,
        up=tuple(gate.check(readings.get(gate.figure)) for gate in policy.up),
        down=tuple(gate.check(readings.get(gate.figure)) for gate in policy.down),
        readings=readings,
        new_annotations=len(evidence.in_stage),
    )


def begin(moves: StageMoves, now: Standing, by: str, at: datetime) -> StageMove:
    """Put a project that is in no stage into the first one.

    Raises:
        InvalidInputError: It is in one.
    """
    if now.move is not None:
        raise InvalidInputError(f"the project is in stage {now.policy.stage} already")
    return _move(moves, now, now.policy, by, "begun", at)


def advance(
    moves: StageMoves,
    now: Standing,
    policies: Mapping[str, StagePolicy],
    by: str,
    at: datetime,
    reason: str = "",
) -> StageMove:
    """Move a project to the next stage.

    Args:
        moves: Moves of the project.
        now: How it stands.
        policies: All stages.
        by: Who decides.
        at: Now.
        reason: Why a person knows better than the gates; empty: the gates have to pass.

    Raises:
        SamBackendError: A gate is shut and there is no reason.
        InvalidInputError: It is in the last stage, or was moved meanwhile.
    """
    target = _beside(now, policies, 1)
    shut = [one for one in now.up if not one.passes]
    if shut and not reason:
        told = "; ".join(f"{one.gate.figure}: {one.missing}" for one in shut)
        raise SamBackendError(f"stage {target.stage} has to wait: {told}")
    return _move(moves, now, target, by, reason or _told(now.up), at)


def retreat(
    moves: StageMoves,
    now: Standing,
    policies: Mapping[str, StagePolicy],
    by: str,
    at: datetime,
    reason: str = "",
) -> StageMove:
    """Move a project to the stage before; arguments as of `advance`.

    Raises:
        SamBackendError: No gate down passes and there is no reason.
        InvalidInputError: It is in the first stage, or was moved meanwhile.
    """
    target = _beside(now, policies, -1)
    open_ = [one for one in now.down if one.passes]
    if not open_ and not reason:
        raise SamBackendError(
            f"nothing sends the project back to stage {target.stage}: give a reason if you know one"
        )
    return _move(moves, now, target, by, reason or _told(open_), at)


def move_by_gates(
    moves: StageMoves, now: Standing, policies: Mapping[str, StagePolicy], at: datetime
) -> StageMove | None:
    """Move a project as its gates say; None: it stays.

    A project that is in no stage is left alone, and so is one that has hardly worked in its stage:
    figures of the stage before would throw it on or back at once. Rejected lots are of this stage.
    """
    if now.move is None:
        return None
    if now.must_retreat and (now.is_settled or any(map(_is_of_lots, now.down))):
        return retreat(moves, now, policies, AUTOMATIC, at)
    if now.may_advance and now.is_settled:
        return advance(moves, now, policies, AUTOMATIC, at)
    return None


def _is_of_lots(one: Checked) -> bool:
    """Whether lots of this very stage were rejected: nobody need have labelled in it since."""
    return one.passes and one.gate.figure is Figure.REJECTED_LOTS


def _beside(now: Standing, policies: Mapping[str, StagePolicy], step: int) -> StagePolicy:
    if now.move is None:
        raise InvalidInputError("the project is in no stage yet: `sam-backend stage begin`")
    order = list(policies)
    place = order.index(now.policy.stage) + step
    if not 0 <= place < len(order):
        end = "last" if step > 0 else "first"
        raise InvalidInputError(f"stage {now.policy.stage} is the {end} one")
    return policies[order[place]]


def _move(
    moves: StageMoves, now: Standing, target: StagePolicy, by: str, reason: str, at: datetime
) -> StageMove:
    place = 1 if now.move is None else now.move.place + 1
    readings = {figure.value: asdict(reading) for figure, reading in now.readings.items()}
    move = StageMove(place, target.stage, by, reason, readings, at)
    moves.add(move)
    return move


def _told(checked: tuple[Checked, ...] | list[Checked]) -> str:
    """What was read at the gates that decided."""
    read = [(one.gate, one.reading) for one in checked if one.reading is not None]
    return "; ".join(f"{gate.figure} {reading.value:.3g}, {gate.asked}" for gate, reading in read)
