"""What a project's prefilling is put together of: its settings, proposer, classifier and config."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.images.resolver import ImageResolver, image_resolver
from sam_backend.projects.extra_params import ExtraParams
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.quality.calibration.current import current_calibration
from sam_backend.semi_automatic.exemplars import ProjectExemplars
from sam_backend.semi_automatic.labelling import classifier_named
from sam_backend.semi_automatic.prefill import Prefiller
from sam_backend.semi_automatic.proposers import Place, proposer_named
from sam_backend.semi_automatic.regions import RegionWriter
from sam_backend.semi_automatic.task_prefill import TaskPrefiller
from sam_backend.serving.served_model import Checkpoint
from sam_backend.settings import Settings
from sam_backend.store.cards import ModelCard
from sam_backend.store.database import Database
from sam_backend.store.proposals import Proposals


def params_of_project(client: LabelStudioClient, project_id: int) -> dict[str, Any]:
    """What the project's backends say about prefilling; the first that says something counts.

    Raises:
        InvalidInputError: Its `extra_params` are malformed.
        LabelStudioError: Label Studio cannot be asked.
    """
    for row in client.ml_backends(project_id):
        if found := ExtraParams.parse(row.get("extra_params")).prefill:
            return found
    return {}


def describe_prefilling(
    settings: Settings,
    checkpoint: Checkpoint,
    project_id: int,
    config: LabelConfig,
    extra_params: object,
) -> str:
    """How a project's tasks are prefilled, in one sentence.

    Raises:
        SamBackendError: They cannot be: a setting is wrong, or the config lacks what it names.
    """
    choice = PrefillChoice(settings)
    params = ExtraParams.parse(extra_params).prefill
    choice.task_prefiller(checkpoint, params, project_id, config)
    told = choice.prefill_settings(checkpoint.card, params)
    shown = " and ".join(
        repr(RegionWriter(config, image, told).output.name) for image in config.images
    )
    bar = (
        "as far as it is proven"
        if told.triage == "proven"
        else f"from a predicted IoU of {told.accept_predicted_iou:g} and a stability of "
        f"{told.accept_stability:g}"
    )
    return f"by proposer {told.proposer!r}, accepted {bar}, in {shown}"


class PrefillChoice:
    """Puts together what prefills a project's tasks.

    Args:
        settings: Settings of this process: `prefill` holds for every project that says nothing
            else.
        database: Keeps proposals, and what is known of models; None: nothing is kept or known.
        resolver: Fetches images; made of the settings without.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database | None = None,
        resolver: ImageResolver | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._resolver = resolver or image_resolver(settings)

    def prefill_settings(self, card: ModelCard, params: Mapping[str, Any]) -> PrefillSettings:
        """Of a checkpoint and a project.

        Raises:
            InvalidInputError: A setting is unknown or wrong.
        """
        return PrefillSettings.of(card, self._settings.prefill, params)

    def task_prefiller(
        self,
        checkpoint: Checkpoint,
        params: Mapping[str, Any],
        project_id: int,
        config: LabelConfig,
        host: LabelStudioHost | None = None,
    ) -> TaskPrefiller:
        """Prefills tasks of a project.

        Args:
            checkpoint: Whose masks they are.
            params: What the project says about prefilling.
            project_id: The project.
            config: Its labelling configuration.
            host: Its Label Studio, of which a proposer may read exemplars; None: it reads nothing.

        Raises:
            SamBackendError: A setting is unknown or wrong, the config cannot show masks, or the
                project has no detector.
        """
        told = self.prefill_settings(checkpoint.card, params)
        writers = [RegionWriter(config, image, told) for image in config.images]
        labels = tuple(dict.fromkeys(label for one in writers for label in one.labels()))
        place = Place(checkpoint.card, self._settings.data_dir, project_id, labels)
        if host is not None:
            exemplars = ProjectExemplars(
                host, project_id, config, labels, self._resolver, self._settings.max_image_pixels
            )
            place = replace(place, exemplars=exemplars)
        proposer = proposer_named(told.proposer, told.parameters, place)
        prefiller = Prefiller(told, proposer)
        if self._database is not None:
            calibrated = current_calibration(self._database, checkpoint.model_version)
            prefiller = Prefiller(told, proposer, Proposals(self._database), calibrated)
        name = told.classifier
        return TaskPrefiller(
            prefiller,
            config,
            self._resolver,
            self._settings.max_image_pixels,
            None if name is None else classifier_named(name, self._settings.data_dir, project_id),
        )
