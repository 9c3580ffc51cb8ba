"""What the last contexts of a task asked for: Label Studio tells only half of it each time.

Points and boxes never share a context, and nothing says what became of a prompt. So a short memory
of each task, label and image joins a pending box with the clicks that follow inside it, and hands
the last answer's logits to the list that extends it. It is a hint, never truth: losing it costs a
refinement its head start, and nothing else.

Several people may work on one task at once, and a request does not name the one who asks. Their
drafts tell them apart: Label Studio sends those of the asker only, and makes ids of regions at
random. So an object bears on a request, and can be forgotten by it, only if the request shows that
it is the asker's:
  * one of its prompts is in the context or in the drafts, or one of its answers is on the task; or
  * the drafts are the very ones that came with the object, and it is too young to be in them.
Saved annotations tell nothing of the asker, for a request carries everybody's.
Any other object is somebody else's, or gone, or its first draft is not saved yet (Label Studio
takes five seconds): then a click is answered by itself.

An object is forgotten
  * after `keep_s` without a new prompt, or when newer ones push it out;
  * when a mask that it was answered with stands on the task: it was accepted (that is kept, for
    its box may still leak);
  * when it has clicks and a context of clicks holds none of them: they were accepted or removed;
  * when it has a pending box and a context of boxes does not hold it, for the same reason;
  * when the drafts were saved anew since and do not hold its box.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from sam_backend.labelstudio.api.hosts import Origin
from sam_backend.labelstudio.prompts.context import ContextReading
from sam_backend.labelstudio.prompts.object_prompts import Item, ObjectPrompt
from sam_backend.labelstudio.prompts.prompt_filter import Recalled
from sam_backend.labelstudio.prompts.task_regions import TaskRegions

Logits = npt.NDArray[np.float32]

AUTOSAVE_S = 8.0
"""From this age on a prompt is in its person's draft, or gone: the page saves 5 s after a change
(seen in 1.23.2), and the call takes its time."""

# What a click takes beside the logits, as measured with CPython 3.11; an id takes half of it.
_BYTES_OF_AN_ITEM = 180


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What a context is about. Two servers number their tasks alike, hence `origin`.

    Attributes:
        origin: The Label Studio.
        project: Its project, as /predict names it.
        task_id: Its task.
        label: The label of the prompts; None without.
        image: sha256 of the image's bytes: what an address holds may change.
        model_version: The model that answers. Not part of what the context is about: after a swap
            the prompts that another one has answered still bear on it, but never its logits.
    """

    origin: Origin
    project: str
    task_id: int | str
    label: str | None
    image: str
    model_version: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Remembered:
    """One object as it was answered last.

    Attributes:
        prompt: What was asked, without its mask: the logits stand for it.
        first_logits: The logits that went in, for the same list sent again; None without.
        logits: The logits that came out, shape (L, L).
        model_version: Version of the model that gave them.
        answer_ids: Ids of the regions it was answered with.
        was_newest: True if its box was once the newest region of a context.
        draft_stamp: Which drafts its person had then (`TaskRegions.draft_stamp`).
        at: Clock seconds.
    """

    prompt: ObjectPrompt
    first_logits: Logits | None
    logits: Logits
    model_version: str
    answer_ids: frozenset[str]
    was_newest: bool
    draft_stamp: str
    at: float

    @property
    def n_bytes(self) -> int:
        """Memory that it takes, roughly."""
        n_logits = self.logits.nbytes + (
            0 if self.first_logits is None else self.first_logits.nbytes
        )
        return n_logits + _BYTES_OF_AN_ITEM * (len(self.prompt.clicks) + len(self.answer_ids))


class PromptSessions:
    """Short memory of what is being clicked. Safe under threads.

    Args:
        max_bytes: Memory for what is remembered; an object takes 256 or 512 KiB of logits. The
            tasks, labels and images that were asked about least recently go first.
        keep_s: Seconds that an object is remembered after its last prompt.
        per_key: Objects of one task, label and image, of all people who work on it.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        max_bytes: int = 128 * 1024 * 1024,
        keep_s: float = 300.0,
        per_key: int = 32,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._per_key = per_key
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[SessionKey, tuple[_Remembered, ...]] = OrderedDict()
        self._turns: dict[object, list[object]] = {}
        self._turns_change = threading.Condition()

    @contextmanager
    def turn(
        self, origin: Origin, project: str, task_id: int | str | None, label: str | None
    ) -> Iterator[Callable[[], None]]:
        """A place in the queue of requests about one task and label, given up at the end.

        Else a click that is sent while its box is still being answered would not find the box.
        Pictures are fetched before it is one's turn, all at once: many clicks on a picture whose
        host hangs must not wait for one another.

        Yields:
            Waits until all who came earlier are through: call it before recalling.
        """
        about, ticket = (origin, project, task_id, label), object()
        with self._turns_change:
            queue = self._turns.setdefault(about, [])
            queue.append(ticket)

        def wait() -> None:
            with self._turns_change:
                self._turns_change.wait_for(lambda: queue[0] is ticket)

        try:
            yield wait
        finally:
            with self._turns_change:
                queue.remove(ticket)
                if not queue:
                    del self._turns[about]
                self._turns_change.notify_all()

    def recall(self, key: SessionKey, reading: ContextReading, on_task: TaskRegions) -> Recalled:
        """What bears on a new context; forgets what the context shows to be over.

        Args:
            key: What the context is about.
            reading: The context.
            on_task: The task's own regions.
        """
        with self._lock:
            known = self._fresh(key)
            shown = [one for one in known if self._is_askers(one, reading, on_task)]
            task_ids = on_task.drafted_ids | on_task.saved_ids
            accepted = [one for one in shown if one.answer_ids & task_ids]
            pending = [one for one in shown if _is_pending(one, reading, on_task)]
            over = [one for one in shown if one not in accepted and one not in pending]
            self._store(key, [one for one in known if one not in over])
        settled = frozenset(
            one.prompt.box.region_id for one in accepted if one.prompt.box is not None
        )
        joined = _refined_by(pending, reading)
        boxes = tuple(one.prompt.box for one in joined or pending if one.prompt.box is not None)
        return Recalled(
            pending=frozenset(
                one.prompt.box.region_id
                for one in pending
                if one.prompt.box is not None and one.was_newest
            ),
            settled=settled,
            boxes=tuple(replace(box, source="memory") for box in boxes),
            clicks={
                one.prompt.box.region_id: one.prompt.clicks
                for one in pending
                if one.prompt.box is not None and one.prompt.clicks
            },
        )

    def previous_logits(self, key: SessionKey, prompt: ObjectPrompt) -> Logits | None:
        """Logits to refine: of the longest remembered list that this one extends.

        For a list that was answered before, the logits that its first answer started from, so
        that it is answered the same again. None: start anew.
        """
        with self._lock:
            known = [one for one in self._fresh(key) if one.model_version == key.model_version]
        items = prompt.items
        best: _Remembered | None = None
        for one in known:
            earlier = one.prompt.items
            if earlier == items:
                return one.first_logits
            is_longer = best is None or len(earlier) > len(best.prompt.items)
            if items[: len(earlier)] == earlier and is_longer:
                best = one
        return None if best is None else best.logits

    def remember(
        self,
        key: SessionKey,
        prompt: ObjectPrompt,
        logits: Logits,
        answer_ids: Iterable[str] = (),
        on_task: TaskRegions | None = None,
        first_logits: Logits | None = None,
    ) -> None:
        """Keep an object as it was answered, in place of the list that it extends.

        Args:
            key: What the context is about.
            prompt: What was asked.
            logits: Low-resolution logits of the answer, shape (L, L).
            answer_ids: Ids of the regions that were answered.
            on_task: The task's own regions, as of the request.
            first_logits: What `previous_logits` gave for it.
        """
        with self._lock:
            known = self._fresh(key)
            replaced = [one for one in known if _is_same_object(one.prompt.items, prompt.items)]
            answers = frozenset(answer_ids).union(*(one.answer_ids for one in replaced))
            new = _Remembered(
                prompt=replace(prompt, mask=None),
                first_logits=first_logits,
                logits=np.array(logits, np.float32),  # may be a view of a whole batch's
                model_version=key.model_version,
                answer_ids=answers,
                was_newest=prompt.is_newest or any(one.was_newest for one in replaced),
                draft_stamp="" if on_task is None else on_task.draft_stamp,
                at=self._clock(),
            )
            kept = [one for one in known if one not in replaced]
            self._store(key, [*kept, new][-self._per_key :])

    def __len__(self) -> int:
        with self._lock:
            return len(self._known)

    def _is_askers(self, one: _Remembered, reading: ContextReading, on_task: TaskRegions) -> bool:
        """True if the request shows that the object is of the person who asks."""
        # Not the annotations: they are everybody's.
        askers = on_task.drafted_ids | set(reading.region_ids)
        if any(item.region_id in askers for item in one.prompt.items):
            return True
        if one.answer_ids & (askers | on_task.saved_ids):
            return True
        is_young = one.at >= self._clock() - AUTOSAVE_S
        return is_young and on_task.draft_stamp != "" and on_task.draft_stamp == one.draft_stamp

    def _fresh(self, key: SessionKey) -> tuple[_Remembered, ...]:
        return tuple(one for one in self._known.get(key, ()) if self._is_fresh(one))

    def _is_fresh(self, one: _Remembered) -> bool:
        return one.at >= self._clock() - self._keep_s

    def _store(self, key: SessionKey, objects: Sequence[_Remembered]) -> None:
        self._known.pop(key, None)
        if objects:
            self._known[key] = tuple(objects)
        for known, remembered in list(self._known.items()):
            if not any(self._is_fresh(one) for one in remembered):
                del self._known[known]
        n_bytes = sum(one.n_bytes for remembered in self._known.values() for one in remembered)
        while n_bytes > self._max_bytes:
            _, dropped = self._known.popitem(last=False)
            n_bytes -= sum(one.n_bytes for one in dropped)


def _is_pending(one: _Remembered, reading: ContextReading, on_task: TaskRegions) -> bool:
    """False once something shows that the object's prompts are gone from the page."""
    if one.answer_ids & (on_task.drafted_ids | on_task.saved_ids):
        return False
    here = set(reading.region_ids)
    clicks = {click.region_id for click in one.prompt.clicks}
    box = one.prompt.box
    if reading.holds_clicks and clicks and not clicks & here:
        return False
    if box is None or box.source == "task":
        return True
    if reading.holds_shapes and box.region_id not in here:
        return False
    is_saved_since = on_task.draft_stamp not in ("", one.draft_stamp)
    return not (is_saved_since and box.region_id not in on_task.drafted_ids)


def _refined_by(pending: Sequence[_Remembered], reading: ContextReading) -> list[_Remembered]:
    """Objects with a box that the context's clicks already refine."""
    here = set(reading.region_ids)
    return [
        one
        for one in pending
        if one.prompt.box is not None and any(c.region_id in here for c in one.prompt.clicks)
    ]


def _is_same_object(earlier: tuple[Item, ...], later: tuple[Item, ...]) -> bool:
    """True if one list extends the other, or both have a box or click of the same id."""
    return bool({item.region_id for item in earlier} & {item.region_id for item in later})
