"""A whole pre-annotation run, from settings to summary: what the command and benchmarks call."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.types import Dataset
from sam_backend.labelstudio.api.project_tasks import read_filter, task_numbers
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.metrics.prefill_curve import CurvePoint
from sam_backend.projects.dataset import pull_project
from sam_backend.projects.prefill_settings import PrefillSettings, layered
from sam_backend.projects.project import Project
from sam_backend.semi_automatic.batch import Preannotation, Progress, Summary
from sam_backend.semi_automatic.evaluation import evaluate_prefill
from sam_backend.semi_automatic.factory import PrefillChoice, params_of_project
from sam_backend.semi_automatic.labelling import learn_labels
from sam_backend.semi_automatic.nearest import LabelBook
from sam_backend.semi_automatic.proposers import Place, proposer_named
from sam_backend.semi_automatic.task_prefill import TaskPrefiller
from sam_backend.serving.factory import chosen_checkpoint, serving_champion
from sam_backend.serving.served_model import Checkpoint
from sam_backend.settings import Settings
from sam_backend.stages.policy_resolution import policy_of, staged_params

CURVE_BARS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.88, 0.9, 0.95)


def preannotate_project(
    project: Project,
    view: int | None = None,
    filter_text: str | None = None,
    limit: int | None = None,
    params: Mapping[str, Any] | None = None,
    observe: Callable[[Progress], None] = lambda progress: None,
    is_stopped: Callable[[], bool] = lambda: False,
    again: bool = False,
) -> Summary:
    """Prefill tasks of a project through Label Studio's API.

    Args:
        project: The project.
        view: Only tasks of this Data Manager tab.
        filter_text: Only tasks of this filter, see `read_filter`.
        limit: At most so many tasks.
        params: Prefill settings that go before the project's own.
        observe: Told how far it is.
        is_stopped: True once it should end after what is in hand.
        again: Also what was done before with the same model and settings.

    Raises:
        SamBackendError: A setting is wrong, or Label Studio, model or database is out of reach.
    """
    filters = None if filter_text is None else read_filter(filter_text)
    settings, client = project.settings, project.client
    # what is wrong is told before a model loads
    config = LabelConfig.parse(str(client.project(project.id).get("label_config", "")))
    own = layered(params_of_project(client, project.id), params or {})
    told = staged_params(settings, policy_of(project), own)
    choice = PrefillChoice(settings, project.database)

    def prefiller(checkpoint: Checkpoint) -> TaskPrefiller:
        return choice.task_prefiller(checkpoint, told, project.id, config, project.host)

    prefiller(chosen_checkpoint(settings)).check()
    numbers = task_numbers(client, project.id, view, filters, limit)
    with serving_champion(settings) as champion:
        run = Preannotation(
            project,
            champion,
            prefiller,
            observe,
            is_stopped,
            again,
        )
        return run.run(numbers)


def learn_project_labels(
    project: Project,
    observe: Callable[[int, int], None],
    left_out: LeftOut | None = None,
) -> LabelBook:
    """Teach the classifier `nearest` with a project's masks, by the model that is served.

    Args:
        project: The project.
        observe: Told images done, of how many.
        left_out: Gets masks without a label, and what of the project is no labelled mask.

    Raises:
        SamBackendError: No mask has a label, or Label Studio or the model is out of reach.
    """
    settings = project.settings
    dataset = pull_project(project)
    if left_out is not None:
        left_out.update(dataset.skipped)
        for image in dataset:
            n_bare = sum(mask.label is None for mask in image.masks)
            left_out.add("mask without a label", image.name, n_bare)
    with serving_champion(settings) as champion, champion.lease() as model:
        return learn_labels(model, dataset, settings.data_dir, project.id, observe)


def evaluate_prefilling(
    settings: Settings,
    dataset: Dataset,
    params: Mapping[str, Any],
    bars: Sequence[float] | None,
    observe: Callable[[int, int], None],
) -> tuple[list[float], list[CurvePoint]]:
    """Measure what would be prefilled on a data set, by the model that is served.

    Args:
        settings: The settings of this process.
        dataset: With masks of people.
        params: Prefill settings.
        bars: Predicted IoUs to tell about; the set one and 0.1 less and more without.
        observe: Told images done, of how many.

    Returns:
        The bars to tell about, and all points of the curve, the lowest bar first.

    Raises:
        SamBackendError: A setting is wrong, or there is no model or image.
    """
    card = chosen_checkpoint(settings).card
    told = PrefillSettings.of(card, settings.prefill, params)
    usual = [told.accept_predicted_iou + step for step in (-0.1, 0.0, 0.1)]
    marked = sorted(bars or [round(min(max(bar, 0.0), 1.0), 3) for bar in usual])
    proposer = proposer_named(told.proposer, told.parameters, Place(card, settings.data_dir, None))
    every = sorted({*marked, *CURVE_BARS})
    with serving_champion(settings) as champion, champion.lease() as model:
        return marked, evaluate_prefill(model, proposer, told, dataset, every, observe)
