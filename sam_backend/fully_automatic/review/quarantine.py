"""A rejected lot leaves the project: its predictions go, what people have made stays."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from sam_backend.errors import InvalidInputError
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.fully_automatic.tasks import RUN
from sam_backend.labelstudio.api.annotations import accepted_annotations
from sam_backend.labelstudio.api.predictions import delete_prediction, predictions_of
from sam_backend.labelstudio.api.project_tasks import data_filter, tasks_filtered
from sam_backend.projects.project import Project
from sam_backend.store.lots import ACCEPTED, REJECTED, Lots


@dataclass(slots=True)
class Quarantined:
    """What was removed.

    Attributes:
        tasks: Tasks of the run.
        predictions: Removed.
        kept: Predictions that a person has made an annotation of.
    """

    tasks: int = 0
    predictions: int = 0
    kept: int = 0


def quarantine(
    project: Project,
    run: BulkRun,
    anyway: str | None = None,
    observe: Callable[[int], None] = lambda tasks: None,
) -> Quarantined:
    """Remove the predictions of a rejected run from a project.

    The same command goes on after a kill. What was removed is kept in the lot's log.

    Args:
        project: The project.
        run: The lot.
        anyway: Why a lot that is not rejected leaves the project; None: only a rejected one does.
        observe: Told how many tasks have been looked at.

    Raises:
        InvalidInputError: The lot is not rejected, and there is no reason to remove it anyway.
        LabelStudioError: A call fails.
    """
    client, lots = project.client, Lots(project.database)
    verdict = lots.verdict(run.run_id)
    if verdict != REJECTED and not (anyway or "").strip():
        stands = {ACCEPTED: "accepted"}.get(str(verdict), "not decided yet")
        raise InvalidInputError(
            f"lot {run.run_id} is {stands}, and only a rejected one is quarantined: "
            "`--anyway REASON` removes its predictions nevertheless"
        )
    told = Quarantined()
    run_id, version = run.run_id, run.plan.model_version
    for task in list(tasks_filtered(client, project.id, data_filter(RUN, run_id))):
        number = int(task["id"])
        told.tasks += 1
        used: set[int | None] = set()
        if task.get("total_annotations"):
            used = {one.parent_prediction for one in accepted_annotations(client, number)}
        for one in predictions_of(client, number):
            if one.get("model_version") != version:
                continue
            if one["id"] in used:
                told.kept += 1
            else:
                delete_prediction(client, int(one["id"]))
                told.predictions += 1
        observe(told.tasks)
    document = {"project": project.id, "anyway": anyway, "verdict": verdict} | asdict(told)
    lots.quarantined(run.run_id, document)
    return told
