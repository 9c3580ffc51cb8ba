"""Stage 1, assisted-manual: a person clicks, SAM answers (paper, section 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sam_backend.assisted_manual.task_embeddings import TaskEmbeddings, TaskImage
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import ControlTag, NamedLabel
from sam_backend.labelstudio.prompts.context import ContextReading, read_context
from sam_backend.labelstudio.prompts.object_prompts import ContextPrompts, ObjectPrompt
from sam_backend.labelstudio.prompts.prompt_builder import place_prompts
from sam_backend.labelstudio.prompts.prompt_session import Logits, PromptSessions, SessionKey
from sam_backend.labelstudio.prompts.task_regions import TaskRegions
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Answer, Region
from sam_backend.projects.tasks import task_data, task_id
from sam_backend.sam.device import Priority
from sam_backend.sam.types import Candidate
from sam_backend.serving.served_model import ServedModel
from sam_backend.serving.timing import StageClock


@dataclass(frozen=True, slots=True)
class InteractiveRequest:
    """One interactive call.

    Attributes:
        host: The Label Studio that it came from.
        project: Its project, as /predict names it.
        task: The task as sent: id, data, drafts, annotations.
        config: The project's labelling configuration.
        context: `params.context` as sent.
    """

    host: LabelStudioHost
    project: str
    task: Mapping[str, Any]
    config: LabelConfig
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InteractiveAnswer:
    """Regions for the page.

    Attributes:
        regions: Result items; empty if there is nothing to show.
        score: The lowest predicted IoU of the shown masks, 0 to 1; 0 without masks.
        errors: Why a prompt got no mask, one sentence each.
        warnings: What may make the answer surprising.
    """

    regions: tuple[Region, ...] = ()
    score: float = 0.0
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Assisted:
    """Answers clicks, boxes and drawn masks. Safe under threads.

    Args:
        embeddings: Embeddings of the tasks' images.
        sessions: What was asked a moment ago; Label Studio tells only half of it each time.
        all_masks: Answer a lone click with whole, part and subpart instead of the best of three.
    """

    def __init__(
        self,
        embeddings: TaskEmbeddings,
        sessions: PromptSessions,
        all_masks: bool = False,
    ) -> None:
        self._embeddings = embeddings
        self._sessions = sessions
        self._limit = None if all_masks else 1

    def answer(
        self, model: ServedModel, request: InteractiveRequest, clock: StageClock
    ) -> InteractiveAnswer:
        """Masks for all prompts of one context, all by one model.

        Args:
            model: Leased for this request.
            request: Task, configuration and prompts.
            clock: Gets the stages fetch, encode, decode and rle.

        Raises:
            SamBackendError: There is no mask to be had; the message says why.
        """
        reading = read_context(request.context)
        if reading is None or reading.is_empty:
            return InteractiveAnswer()
        origin, number = request.host.origin, task_id(request.task)
        with self._sessions.turn(origin, request.project, number, reading.label) as wait_for_turn:
            address = request.config.image(reading.to_name).address(task_data(request.task))
            image = self._embeddings.embed(
                model, address, request.host, number, Priority.CLICK, clock
            )
            wait_for_turn()
            return self._answer(model, request, reading, image, clock)

    def _answer(
        self,
        model: ServedModel,
        request: InteractiveRequest,
        reading: ContextReading,
        image: TaskImage,
        clock: StageClock,
    ) -> InteractiveAnswer:
        key = SessionKey(
            origin=request.host.origin,
            project=request.project,
            task_id=task_id(request.task) or "",
            label=reading.label,
            image=image.digest,
            model_version=model.model_version,
        )
        on_task = TaskRegions.of(request.task)
        recalled = self._sessions.recall(key, reading, on_task)
        placed = place_prompts(
            reading, image.embedding.image_size, request.config, on_task, recalled
        )
        starts = [self._first_logits(model, key, one) for one in placed.objects]
        prompts = [one.prompt(start) for one, start in zip(placed.objects, starts, strict=True)]
        with clock.span("decode"):
            found = model.predict(image.embedding, prompts, self._limit)
        with clock.span("rle"):
            answering = _Answering(request.config, reading)
            regions = [answering.regions(candidates) for candidates in found]
        for one, candidates, shown, start in zip(
            placed.objects, found, regions, starts, strict=True
        ):
            ids = {str(region["id"]) for region in shown}
            self._sessions.remember(key, one, candidates[0].logits, ids, on_task, start)
        return answering.answer(regions, placed)

    def _first_logits(
        self, model: ServedModel, key: SessionKey, one: ObjectPrompt
    ) -> Logits | None:
        """Where the model starts from: its last answer, else a drawn mask, else nothing."""
        previous = self._sessions.previous_logits(key, one)
        if previous is None and one.mask is not None:
            return model.segmenter().mask_prompt(one.mask)
        return previous


class _Answering:
    """Turns candidates into regions of the configuration's output tags."""

    def __init__(self, config: LabelConfig, reading: ContextReading) -> None:
        prompt_tag = config.control(reading.from_name)
        self._routed = config.route(reading.to_name, reading.labels, prompt_tag)
        names = ", ".join(repr(tag.name) for tag in config.outputs(reading.to_name))
        self._errors = [
            f"none of the tags that show masks ({names}) has the label {label!r} (nor an alias of "
            "it): the region goes without it"
            for label in self._routed.missing
        ]
        self._scores: list[float] = []

    def regions(self, candidates: Sequence[Candidate]) -> list[Region]:
        """Result items for the candidates of one prompt, on every tag that has its labels."""
        return [
            region
            for candidate in candidates
            for output, label in self._routed.tags
            for region in self._shown(candidate, output, label)
        ]

    def answer(
        self, regions: Sequence[Sequence[Region]], placed: ContextPrompts
    ) -> InteractiveAnswer:
        """The whole answer, with the reasons for what is not in it."""
        bad = [f"{one.region_id}: {one.reason}" for one in placed.skipped if one.is_error]
        return InteractiveAnswer(
            regions=tuple(region for shown in regions for region in shown),
            score=min(max(min(self._scores, default=0.0), 0.0), 1.0),
            errors=(*dict.fromkeys(self._errors), *bad),
            warnings=placed.warnings,
        )

    def _shown(
        self, candidate: Candidate, output: ControlTag, label: NamedLabel | None
    ) -> list[Region]:
        threshold = output.parameters.score_threshold
        # The IoU head is a regression: it may answer less than 0, which no threshold means.
        if max(candidate.predicted_iou, 0.0) < threshold:
            self._errors.append(
                f"a mask of predicted IoU {candidate.predicted_iou:.2f} is under tag "
                f"{output.name!r}'s sam_score_threshold {threshold:g}"
            )
            return []
        answer = Answer(output, label, candidate.predicted_iou)
        shown = codec.encode(candidate.mask, answer)
        if shown:
            self._scores.append(candidate.predicted_iou)
        else:
            self._errors.append("the model's mask has no pixel")
        return shown
