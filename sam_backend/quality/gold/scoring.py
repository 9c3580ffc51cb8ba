"""People and models of a project, judged by the trusted images that they have met."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import InvalidInputError
from sam_backend.json_form import as_json
from sam_backend.metrics.comparison import Answer, ComparedImage, compare_images
from sam_backend.metrics.error_analysis import Fault, faults
from sam_backend.metrics.scorecards import QUALITY, Scorecard, by_week, scorecard, scorecards
from sam_backend.projects.measured import GoldAnswer, GoldScores, JudgedByGold
from sam_backend.projects.project import Project
from sam_backend.quality.gold.answers import ProjectAnswers, read_answers
from sam_backend.store.gold import GoldImage
from sam_backend.store.learned_images import learned_by_model
from sam_backend.store.models import ModelStore, open_store

PROCESSES = 2

LEARNED = "answers of a model that has learned from the image"


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """One annotator, or model version, against gold.

    Attributes:
        card: All figures.
        faults: What they prove to be wrong.
        labels: A scorecard for each label.
        weeks: A scorecard for each week.
        images: Compared, the worst first.
    """

    card: Scorecard
    faults: tuple[Fault, ...]
    labels: Mapping[str, Scorecard]
    weeks: Mapping[str, Scorecard]
    images: tuple[ComparedImage, ...]

    def as_json(self) -> dict[str, Any]:
        """Figures and faults."""
        return self.card.as_json() | {
            "faults": [str(one) for one in self.faults],
            "labels": as_json(self.labels),
            "weeks": {name: card.as_json(False) for name, card in self.weeks.items()},
        }


@dataclass(frozen=True, slots=True, eq=False)
class GoldReport:
    """Who stands where, the best first; who has met too little gold comes last.

    Attributes:
        gold: Trusted images in use.
        annotators: People.
        models: Model versions.
        unread: What could not be compared, by reason.
    """

    gold: int
    annotators: tuple[Standing, ...]
    models: tuple[Standing, ...]
    unread: LeftOut

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        return {
            "gold_images": self.gold,
            "annotators": as_json(self.annotators),
            "models": as_json(self.models),
            "unread": self.unread.as_json(),
        }

    def measured(self, at: datetime) -> GoldScores:
        """Return what is kept: everybody's figures, and those of all people together.

        Args:
            at: When the gold was scored.
        """
        images = [image for one in self.annotators for image in one.images]
        return GoldScores(
            at=at,
            images=self.gold,
            people=_judged(scorecard("people", _by_image(images))) if images else None,
            annotators=tuple(_judged(one.card) for one in self.annotators),
            models=tuple(_judged(one.card) for one in self.models),
            answers=tuple(map(_answered, images)),
        )


def score_project(
    project: Project,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[GoldReport, ProjectAnswers]:
    """Judge everybody who has worked on a project, and keep the figures; returns all answers too.

    A trusted image is recognised by its bytes, in whatever task it is.

    Args:
        project: The project.
        observe: Told how many tasks of how many have been read.

    Raises:
        SamBackendError: There is no gold, or Label Studio cannot be asked.
    """
    gold = {image.digest: image for image in project.gold.images()}
    if not gold:
        raise InvalidInputError("there is no gold yet: `sam-backend gold add` takes some")
    answers = read_answers(project, gold.__contains__, observe)
    models, n_learned = unlearned(open_store(project.settings), answers.models)
    unread = LeftOut(answers.unread)
    unread.add(LEARNED, count=n_learned)
    report = GoldReport(
        gold=len(gold),
        annotators=standings(gold, answers.people),
        models=standings(gold, models),
        unread=unread,
    )
    report.measured(datetime.now(UTC)).keep(project.measurements)
    return report, answers


def unlearned(store: ModelStore, answers: Sequence[Answer]) -> tuple[list[Answer], int]:
    """Return the answers to images that their model has not learned from; count the others.

    Of a version that is not in the store, or has no record, nothing is known: it is judged.
    """
    entries = store.list()
    known = {who: learned_by_model(entries, who) for who in {one.who for one in answers}}
    judged = [one for one in answers if one.image not in known[one.who]]
    return judged, len(answers) - len(judged)


def standings(
    gold: Mapping[str, GoldImage], answers: Sequence[Answer], processes: int = PROCESSES
) -> tuple[Standing, ...]:
    """Judge answers to trusted images; others are passed over.

    Args:
        gold: By digest.
        answers: The last one that a person gave to an image counts. Who has made an image's truth
            is not judged by it.
        processes: Number of processes at the most.
    """
    last = {
        (one.who, one.image): one
        for one in answers
        if one.image in gold and one.who not in gold[one.image].makers
    }
    judged = list(last.values())
    truths = [gold[one.image].labelled.masks for one in judged]
    by_who: dict[str, list[ComparedImage]] = defaultdict(list)
    for image in compare_images(truths, judged, processes):
        by_who[image.answer.who].append(image)
    found = [_standing(who, images) for who, images in sorted(by_who.items())]
    return tuple(sorted(found, key=lambda one: -_rank(one.card)))


def _standing(who: str, images: Sequence[ComparedImage]) -> Standing:
    card, labels = scorecards(who, images)
    worst = sorted(images, key=_quality)
    return Standing(card, tuple(faults(card)), labels, by_week(who, images), tuple(worst))


def _by_image(images: Sequence[ComparedImage]) -> list[ComparedImage]:
    """All answers to one image as one: they are no independent witnesses."""
    groups: dict[str, list[ComparedImage]] = defaultdict(list)
    for image in images:
        groups[image.answer.image].append(image)
    return [
        ComparedImage(
            replace(
                some[0].answer,
                masks=tuple(mask for one in some for mask in one.answer.masks),
                seconds=_summed([one.answer.seconds for one in some]),
            ),
            tuple(mask for one in some for mask in one.truth),
            tuple(pair for one in some for pair in one.objects),
        )
        for some in groups.values()
    ]


def _summed(seconds: Sequence[float | None]) -> float | None:
    """None where one is not told."""
    known = [one for one in seconds if one is not None]
    return sum(known) if len(known) == len(seconds) else None


def _judged(card: Scorecard) -> JudgedByGold:
    names = card.figures.keys() & {one.name for one in fields(JudgedByGold)}
    return JudgedByGold(
        who=card.who,
        images=card.images,
        objects=card.objects,
        masks=card.masks,
        **{name: card.figures[name] for name in names},
    )


def _answered(image: ComparedImage) -> GoldAnswer:
    pairs = [one for one in image.objects if one.truth is not None and one.found is not None]
    answer = image.answer
    return GoldAnswer(
        at=answer.at,
        pairs=len(pairs),
        iou_sum=sum(one.iou for one in pairs),
        masks=len(answer.masks),
        seconds=answer.seconds,
    )


def _rank(card: Scorecard) -> float:
    value = card.value(QUALITY)
    return -1.0 if value is None else value


def _quality(image: ComparedImage) -> float:
    objects = image.objects
    return sum(one.iou for one in objects) / len(objects) if objects else 1.0
