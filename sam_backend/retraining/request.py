"""What somebody asks of a retraining; it travels through the job queue as JSON."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sam_backend.errors import InvalidInputError, ModelStoreError
from sam_backend.sam.families import FAMILIES, family_named
from sam_backend.store.models import ModelEntry, ModelStore
from sam_backend.training.plan import Depth

JOB_KIND = "retrain"


class RetrainingRequest(BaseModel):
    """One retraining: from which masks, of which checkpoint, how deep, how long.

    Attributes:
        project: Label Studio project whose accepted annotations are learned from.
        data: A data set's path instead.
        images: Folder of the data set's images, if they do not lie beside it.
        gold: Data set that the gate judges on; without, our own gold (`sam-backend gold`) and the
            data's own gold masks, and where these are too few, a held-out part.
        parent: Version to start from and to beat; without, the project's own model, or the one that
            is served to all.
        depth: Which parts of the network learn.
        steps: Optimiser steps at the most; the depth's default without.
        seed: Seed of clicks and order; the division into parts is the same for all.
        promote: Serve the challenger if the gate lets it pass; where the project has a model of its
            own, to this project only.
        masks_until: The newest human mask known when this was ordered, by Label Studio's clock;
            None if nobody looked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: int | None = Field(None, ge=1)
    data: str | None = None
    images: str | None = None
    gold: str | None = None
    parent: str | None = None
    depth: Depth = Depth.DECODER
    steps: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)
    promote: bool = True
    masks_until: datetime | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.project is None) == (self.data is None):
            raise ValueError("a retraining learns from a project or from a data set: name one")
        return self

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
            words = [place, first["msg"].removeprefix("Value error, ")]
            raise InvalidInputError(
                f"retraining request: {' '.join(filter(None, words))}"
            ) from None

    @property
    def dedupe_key(self) -> str:
        """Equal for requests of which one running at a time is enough."""
        return f"{JOB_KIND} {f'project {self.project}' if self.project else f'data {self.data}'}"


def chosen_parent(request: RetrainingRequest, store: ModelStore, model: str | None) -> ModelEntry:
    """The checkpoint that a retraining starts from and has to beat.

    Args:
        request: Names it, or none.
        store: The model store.
        model: `settings.model`, which is served and started from where the request names none.

    Raises:
        ModelStoreError: It is not in the store, or of a family that cannot be retrained: training
            works on SAM 1's own network.
    """
    parent = store.get(request.parent) if request.parent else store.to_serve(model)
    if not family_named(parent.card.family).is_trainable:
        able = ", ".join(name for name, family in FAMILIES.items() if family.is_trainable)
        raise ModelStoreError(
            f"{parent.version} is of the family {parent.card.family}, which cannot be retrained; "
            f"name a version of {able} as the parent (--parent)"
        )
    return parent
