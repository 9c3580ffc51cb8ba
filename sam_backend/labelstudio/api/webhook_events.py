"""What Label Studio tells about a project: it may say so twice, late, or not at all."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

START_TRAINING = "START_TRAINING"


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One event of a project.

    Attributes:
        action: Label Studio's name of it, such as `ANNOTATION_CREATED` or `START_TRAINING`.
        project_id: The project's number; None if the webhook sends no payload.
        key: Equal for the same event told twice, different for different events (`event_key`).
        annotation_id: The annotation that it is about; None without one, or with several.
        task_id: Its task, likewise.
        project: The project as /setup and /predict name it, `"<id>.<created>"`; empty if unknown.
    """

    action: str
    project_id: int | None
    key: str
    annotation_id: int | None = None
    task_id: int | None = None
    project: str = ""


def event_key(action: str, project: str, states: Iterable[tuple[int, str]]) -> str | None:
    """What makes an event one event, as sha256: the things it is about, in the state it tells.

    A second webhook on the same address repeats number and `updated_at` of an annotation to the
    microsecond; another edit changes the latter. The rest of a body is no identity: counters of
    the project move between two deliveries. A number alone is enough where a thing is made or
    deleted, for Label Studio never gives one twice.

    Args:
        action: Name of the event.
        project: As /setup names it, so that two servers' projects of one number differ.
        states: Number and `updated_at` (empty if not told) of each thing, in any order.

    Returns:
        None if nothing of it tells one event from the next, as with `START_TRAINING`: a person
        may well press the button twice on purpose.
    """
    known = sorted(states)
    is_update = action.endswith("_UPDATED")
    if not known or (is_update and not all(stamp for _, stamp in known)):
        return None
    return hashlib.sha256(json.dumps([action, project, known]).encode()).hexdigest()
