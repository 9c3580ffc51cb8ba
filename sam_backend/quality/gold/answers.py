"""What people and models have said of a project's images, each image known by its bytes."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sam_backend.datasets import reasons
from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import ImageDecodeError, ImageFetchError, InvalidInputError
from sam_backend.labelstudio.api.annotations import (
    AnnotatedTask,
    annotated_tasks,
    count_annotated_tasks,
)
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.predictions import predictions_of
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.regions.drawn_masks import DrawnMask, drawn_masks
from sam_backend.metrics.comparison import Answer
from sam_backend.projects.images import ProjectImages, source_name
from sam_backend.projects.project import Project

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class ProjectAnswers:
    """All answers of a project.

    Attributes:
        people: Submitted annotations that are no ground truth themselves.
        models: Predictions for images of `people`, where they were asked for.
        unread: Masks and images that could not be compared, by reason.
    """

    people: tuple[Answer, ...]
    models: tuple[Answer, ...]
    unread: LeftOut


def read_answers(
    project: Project,
    has_models: Callable[[str], bool] = lambda digest: False,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> ProjectAnswers:
    """Read a project.

    Args:
        project: The project, whose folder keeps its images.
        has_models: Whether predictions for an image, by its digest, are to be read too.
        observe: Told how many tasks of how many have been read.

    Raises:
        SamBackendError: The config cannot be used, or a call fails.
    """
    client = project.client
    config = LabelConfig.parse(str(client.project(project.id).get("label_config", "")))
    images = project.images()
    unread = LeftOut()
    people: list[Answer] = []
    models: dict[tuple[str, str], Answer] = {}
    n_tasks = count_annotated_tasks(client, project.id)
    for number, task in enumerate(annotated_tasks(client, project.id), start=1):
        digests = _digests(config, images, project.host, task, unread)
        sizes = {name: size for name, (_, size) in digests.items()}
        for one in task.annotations:
            if not one.is_gold:
                where = f"task {task.task_id}, annotation {one.annotation_id}"
                masks = drawn_masks(one.result, one.annotator, unread, where, sizes.get)
                who = one.annotator or "unknown"
                people += _answers(digests, masks, who, one.lead_time_s, one.updated_at)
        if any(has_models(digest) for digest, _ in digests.values()):
            for prediction in predictions_of(client, task.task_id):
                who = str(prediction.get("model_version") or "unknown")
                where = f"task {task.task_id}, prediction {prediction.get('id')}"
                masks = drawn_masks(prediction["result"], None, unread, where, sizes.get)
                made_at = _moment(prediction.get("created_at"))
                for answer in _answers(digests, masks, who, None, made_at):
                    models[answer.image, who] = answer  # the newest comes last
        observe(number, max(n_tasks, number))
    return ProjectAnswers(tuple(people), tuple(models.values()), unread)


def _digests(
    config: LabelConfig,
    images: ProjectImages,
    host: LabelStudioHost,
    task: AnnotatedTask,
    unread: LeftOut,
) -> dict[str, tuple[str, tuple[int, int]]]:
    """Digest and (height, width) of a task's images, by the name of their tag."""
    found = {}
    for tag in config.images:
        try:
            name = source_name(task.data)
            kept = images.get(tag.address(task.data), host, task.task_id, name)
        except (InvalidInputError, ImageFetchError, ImageDecodeError) as error:
            unread.add(reasons.NO_IMAGE, f"task {task.task_id}: {error}")
            log.warning("task %d is left out: %s", task.task_id, error)
        else:
            found[tag.name] = (kept.digest, kept.size)
    return found


def _answers(
    digests: dict[str, tuple[str, tuple[int, int]]],
    drawn: Sequence[DrawnMask],
    who: str,
    seconds: float | None,
    at: datetime | None,
) -> Iterator[Answer]:
    """One answer for each image; no mask is an answer too."""
    for name, (digest, _) in digests.items():
        here = [one for one in drawn if one.image_name == name]
        scores = [one.score for one in here]
        yield Answer(
            image=digest,
            who=who,
            masks=tuple(one.mask for one in here),
            scores=None if None in scores else tuple(score or 0.0 for score in scores),
            seconds=None if seconds is None else seconds / len(digests),
            at=at,
        )


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
