"""Training a project's detector, as a kind of job."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save_file

from sam_backend.datasets.manifest import read_manifest, write_manifest
from sam_backend.datasets.split import split
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.progress import Progress
from sam_backend.projects.dataset import PullProgress, pull_project
from sam_backend.projects.project import open_project
from sam_backend.sam.checkpoints import choose_device
from sam_backend.settings import Settings
from sam_backend.store.detectors import DetectorCard, DetectorStore
from sam_backend.store.job_handling import IsStopped, Report, StoppedError
from sam_backend.training.detector.loop import CHECKPOINT_NAME, DetectorProgress, train_detector
from sam_backend.training.detector.plan import DetectorPlan
from sam_backend.training.detector.recall import box_recall

JOB_KIND = "train_detector"
HELD_OUT = 0.15
MIN_IMAGES = 5
"""With masks: fewer teach no detector anything, and its steps take an hour of a CPU."""
_MANIFEST = "manifest.jsonl"


class DetectorRequest(BaseModel):
    """What somebody asks of a training.

    Attributes:
        project: Label Studio project whose accepted masks are learned from.
        network: See `training.detector.network`.
        side_px: Long side of the images that it sees.
        steps: Optimiser steps.
        seed: Seed of order and first weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: int = Field(ge=1)
    network: str = DetectorPlan().network
    side_px: int = DetectorPlan().side_px
    steps: int = Field(DetectorPlan().steps, ge=1)
    seed: int = Field(0, ge=0)

    @classmethod
    def parse(cls, payload: object) -> Self:
        """Read a job's payload.

        Raises:
            InvalidInputError: A field is missing, wrong or unknown.
        """
        try:
            return cls.model_validate(payload)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InvalidInputError(f"detector request: {place} {first['msg']}".strip()) from None

    @property
    def dedupe_key(self) -> str:
        """Equal for requests of which one running at a time is enough."""
        return f"{JOB_KIND} project {self.project}"

    def plan(self) -> DetectorPlan:
        """How it is trained."""
        return DetectorPlan(
            network=self.network, side_px=self.side_px, steps=self.steps, seed=self.seed
        )


def run_detector_training(
    request: DetectorRequest,
    folder: Path,
    settings: Settings,
    report: Report,
    is_stopped: IsStopped,
) -> Mapping[str, Any]:
    """Pull the project's masks, train, measure, keep; goes on where an earlier try was killed.

    Args:
        request: What is asked.
        folder: Folder of this run alone; its name names the run.
        settings: Device, data folder, limits of images.
        report: Takes how far the work is.
        is_stopped: True ends the run with what it has.

    Raises:
        StoppedError: Told to stop; the folder holds what is done.
        SamBackendError: It cannot be done; the message says why.
    """
    plan, store = request.plan(), DetectorStore(settings.data_dir, request.project)
    data = _data(request, folder, settings, report, is_stopped)
    if len(data) < MIN_IMAGES:
        raise InvalidInputError(
            f"a detector learns from masks on {MIN_IMAGES} images at the least, and project "
            f"{request.project} has them on {len(data)}: annotate more"
        )
    parts = split(data, HELD_OUT)

    def tell(progress: DetectorProgress) -> None:
        report(Progress("training the detector", progress.step, progress.of, loss=progress.loss))

    device = choose_device(settings.device)
    network = train_detector(parts.train, plan, folder, device, tell, is_stopped)
    if network is None:
        raise StoppedError("stopped before the training ended")
    recall = box_recall(network, parts.held_out) if len(parts.held_out) else None
    card = store.add(
        DetectorCard(
            version=folder.name,
            network=plan.network,
            side_px=plan.side_px,
            sha256="",
            data_digest=parts.train.digest,
            images=len(parts.train),
            box_recall=recall,
            plan=plan.as_json(),
            made_at=datetime.now(UTC),
        ),
        lambda path: save_file(
            {name: value.contiguous().cpu() for name, value in network.state_dict().items()}, path
        ),
    )
    (folder / CHECKPOINT_NAME).unlink(missing_ok=True)
    return {
        "version": card.version,
        "images": card.images,
        "held_out_images": len(parts.held_out),
        "box_recall": recall,
    }


def _data(
    request: DetectorRequest,
    folder: Path,
    settings: Settings,
    report: Report,
    is_stopped: IsStopped,
) -> Dataset:
    """The project's masks; pulled once a run, so that a restart sees the same."""
    manifest = folder / _MANIFEST
    if manifest.is_file():
        return read_manifest(manifest)

    def tell(progress: PullProgress) -> None:
        if is_stopped():
            raise StoppedError("stopped while pulling")
        report(Progress("pulling", progress.tasks, progress.of_tasks))

    with open_project(settings, request.project) as project:
        data = pull_project(project, observe=tell)
    write_manifest(data, manifest)
    return data
