"""The run folders of the starter: what each learned from, from the first weights on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from sam_backend.errors import InvalidInputError
from sam_backend.sam.checkpoints import load_pickle
from sam_backend.sam.reference import Sam
from sam_backend.sam.starter import build_starter
from sam_backend.training.loop import CHECKPOINT_NAME
from sam_backend.training.plan import TrainingPlan
from sam_backend.training.state import TrainingState

RUN_NAME = "run.json"
"""What a run must tell the card of its weights; lies beside its checkpoint."""


@dataclass(frozen=True, slots=True)
class StarterRun:
    """Where weights come from.

    Attributes:
        command: The command line of the run.
        photos: Photos that the weights have learned from, in this run or one before: what binds
            their licence.
        before: Command lines of the runs that these weights have gone through before, in order.
    """

    command: str
    photos: int
    before: tuple[str, ...] = ()

    def after(self, earlier: "StarterRun") -> "StarterRun":
        """This run, begun from the weights of `earlier`."""
        photos = max(self.photos, earlier.photos)
        return StarterRun(self.command, photos, (*earlier.before, earlier.command))


def read_run(folder: Path) -> StarterRun:
    """What the run of a folder told about itself.

    Raises:
        InvalidInputError: It told nothing, or nothing that can be read.
    """
    file = folder / RUN_NAME
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return StarterRun(
            str(told["command"]), int(told["photos"]), tuple(map(str, told["before"]))
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{file} is no record of a starter's run: {error!r}") from error


def begin_run(
    folder: Path,
    run: StarterRun,
    plan: TrainingPlan,
    device: torch.device,
    began: Path | None = None,
    resume: bool = False,
) -> TrainingState:
    """A starter ready to train, and its run folder with the record of all it has learned from.

    Args:
        folder: Of the run.
        run: This run alone.
        plan: Its plan.
        device: To train on.
        began: Folder of a run whose averaged weights to begin from; None: random ones.
        resume: Go on from the checkpoint in `folder`.

    Raises:
        InvalidInputError: There is nothing to resume, both or a used folder are named, or a record
            is missing.
    """
    has_checkpoint = (folder / CHECKPOINT_NAME).exists()
    if began is not None and resume:
        raise InvalidInputError("a run resumes or begins from another one, not both")
    if has_checkpoint and not resume:
        raise InvalidInputError(f"{folder} holds a run already: resume it or take another folder")
    torch.manual_seed(plan.seed)
    sam = build_starter()
    if began is not None:
        run = run.after(read_run(began))
        sam.load_state_dict(_averaged(began))
    state = TrainingState(sam.to(device), plan)
    if resume:
        state.load(folder / CHECKPOINT_NAME)
        run = run.after(read_run(folder))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RUN_NAME).write_text(json.dumps(asdict(run), indent=2) + "\n", encoding="utf-8")
    return state


def averaged_network(folder: Path, device: torch.device) -> Sam:
    """A starter with the averaged weights of a run, in eval mode.

    Raises:
        InvalidInputError: The folder has no checkpoint.
    """
    sam = build_starter()
    sam.load_state_dict(_averaged(folder))
    return sam.to(device).eval()


def _averaged(folder: Path) -> dict[str, torch.Tensor]:
    file = folder / CHECKPOINT_NAME
    if not file.is_file():
        raise InvalidInputError(f"{folder} has no {CHECKPOINT_NAME}")
    document = load_pickle(file)
    averaged: dict[str, torch.Tensor] = document["averaged"]
    return averaged
