"""A sample on disk: what was drawn how, and what it has to prove, stated before one looks."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sam_backend.errors import InvalidInputError
from sam_backend.files import replacing
from sam_backend.fully_automatic.review.sampling import SampledImage
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.metrics.acceptance import AcceptancePlan

SAMPLE, REPORT_JSON, REPORT_HTML = "sample.json", "report.json", "report.html"


@dataclass(frozen=True, slots=True)
class Sample:
    """A drawn sample.

    Attributes:
        run_id: Id of the lot's run.
        host: Label Studio's address.
        project_id: The review project.
        seed: Seed of the draw.
        by: Strata that were crossed.
        n_lot: Images of the lot.
        plan: What it has to prove.
        images: Which were drawn.
    """

    run_id: str
    host: str
    project_id: int
    seed: int
    by: tuple[str, ...]
    n_lot: int
    plan: AcceptancePlan
    images: tuple[SampledImage, ...]

    @property
    def deciding(self) -> tuple[SampledImage, ...]:
        """The images that the verdict counts."""
        return tuple(image for image in self.images if image.decides)

    @property
    def design(self) -> dict[str, Any]:
        """What stays the same when the sample grows: lot, project, plan, seed and strata."""
        told = self.as_json()
        del told["images"]
        return told

    @property
    def name(self) -> str:
        """Of its folder: eight hex digits of all of it."""
        told = json.dumps(self.as_json(), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:8]

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self) | {
            "plan": self.plan.as_json(),
            "images": [asdict(image) for image in self.images],
        }

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """What `as_json` gave."""
        # earlier releases drew strata without a random sample of the whole lot
        decides = not told["by"]
        images = tuple(SampledImage(**{"decides": decides} | one) for one in told["images"])
        plan = AcceptancePlan.of(told["plan"])
        return cls(**{**told, "by": tuple(told["by"]), "plan": plan, "images": images})


def folder_of(run: BulkRun, sample: Sample) -> Path:
    """Where a sample and its report are."""
    return run.folder / "reviews" / sample.name


def keep_sample(run: BulkRun, sample: Sample) -> Path:
    """Write a sample down, unless it is there; returns its folder."""
    folder = folder_of(run, sample)
    if not (folder / SAMPLE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / SAMPLE) as unfinished:
            unfinished.write_text(json.dumps(sample.as_json(), indent=1) + "\n")
    return folder


def newest_sample(run: BulkRun, name: str | None = None) -> Sample | None:
    """The sample of a run with this name, or the newest one; None: it is not there.

    Raises:
        InvalidInputError: It is damaged.
    """
    files = sorted(
        run.folder.glob(f"reviews/{name or '*'}/{SAMPLE}"), key=lambda file: file.stat().st_mtime
    )
    if not files:
        return None
    try:
        return Sample.of(json.loads(files[-1].read_text()))
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInputError(f"{files[-1]} is damaged: {error}") from None


def read_sample(run: BulkRun, name: str | None = None) -> Sample:
    """A sample of a run by its name, or the newest one.

    Raises:
        InvalidInputError: There is none, or it is damaged.
    """
    found = newest_sample(run, name)
    if found is None:
        told = "has no sample" if name is None else f"has no sample {name}"
        raise InvalidInputError(f"{run.folder} {told}: `sam-backend review sample` draws one")
    return found
