"""Clicking sessions, context by context, as Label Studio tells them."""

import threading
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sam_backend.labelstudio.api.hosts import Origin
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.prompts.context import read_context
from sam_backend.labelstudio.prompts.object_prompts import Box, ObjectPrompt
from sam_backend.labelstudio.prompts.prompt_builder import place_prompts
from sam_backend.labelstudio.prompts.prompt_session import AUTOSAVE_S, PromptSessions, SessionKey
from sam_backend.labelstudio.prompts.task_regions import TaskRegions

SIZE = (100, 100)  # so that percent are pixels

CONFIG = LabelConfig.parse("""<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image" smart="false"><Label value="Car"/></BrushLabels>
  <KeyPointLabels name="kp" toName="image" smart="true"><Label value="Car"/></KeyPointLabels>
  <RectangleLabels name="rect" toName="image" smart="true"><Label value="Car"/></RectangleLabels>
</View>""")

KEY = SessionKey(Origin("http", "ls", 8080), "1.2", 7, "Car", "/data/upload/1/a.png")


def click(region_id: str, x: float, y: float, is_positive: bool = True) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": 0.2, "keypointlabels": ["Car"]}
    found = {"id": region_id, "from_name": "kp", "to_name": "image", "type": "keypointlabels"}
    return {**found, "value": value, "is_positive": is_positive}


def box(region_id: str, x: float, y: float, width: float, height: float) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rectanglelabels": ["Car"]}
    found = {"id": region_id, "from_name": "rect", "to_name": "image", "type": "rectanglelabels"}
    return {**found, "value": value}


def mask(region_id: str) -> dict[str, Any]:
    found = {"id": region_id, "from_name": "brush", "to_name": "image", "type": "brushlabels"}
    return {**found, "value": {"format": "rle", "brushlabels": ["Car"]}}


class Session:
    """One person's requests; does with each context what the engine does.

    A "model" numbers its answers. The person has a draft from before, unless it is their first
    prompt on the task.
    """

    def __init__(
        self, memory: PromptSessions, key: SessionKey = KEY, draft: int = 1, is_first: bool = False
    ) -> None:
        self.memory = memory
        self.key = key
        self.drafts: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.draft = draft
        self.n_saves = 0
        self.n_answers = 0
        if not is_first:
            self.autosave()

    def autosave(self, *regions: dict[str, Any]) -> None:
        self.n_saves += 1
        stamp = f"2026-11-23T14:{self.n_saves:02}"
        self.drafts = [{"id": self.draft, "result": list(regions), "updated_at": stamp}]

    def recalled_boxes(self, *regions: dict[str, Any]) -> list[str]:
        """Ids of the remembered boxes that the clicks of a context could join."""
        reading = read_context({"result": list(regions)})
        assert reading is not None
        on_task = TaskRegions.of({"drafts": self.drafts})
        return [one.region_id for one in self.memory.recall(self.key, reading, on_task).boxes]

    def ask(self, *regions: dict[str, Any]) -> list[tuple[tuple[str, ...], float | None, float]]:
        """Ids of each object, the answer that its refinement starts from, and its own answer."""
        reading = read_context({"result": list(regions)})
        assert reading is not None
        on_task = TaskRegions.of({"drafts": self.drafts, "annotations": self.annotations})
        recalled = self.memory.recall(self.key, reading, on_task)
        answered = []
        for one in place_prompts(reading, SIZE, CONFIG, on_task, recalled).objects:
            start = self.memory.previous_logits(self.key, one)
            self.n_answers += 1
            logits = np.full((2, 2), self.n_answers, np.float32)
            answer_ids = [f"mask{self.n_answers}"]
            self.memory.remember(self.key, one, logits, answer_ids, on_task, start)
            ids = tuple(item.region_id for item in one.items)
            answered.append((ids, None if start is None else float(start[0, 0]), self.n_answers))
        return answered


@pytest.fixture
def session() -> Session:
    return Session(PromptSessions())


A, B = box("a", 10, 10, 40, 40), box("b", 60, 60, 30, 30)
K, L, M = click("k", 20, 20), click("l", 30, 30), click("m", 40, 40, False)


def test_after_a_swap_prompts_are_joined_but_another_models_logits_are_not_used() -> None:
    session = Session(PromptSessions(), replace(KEY, model_version="old"))
    assert session.ask(A) == [(("a",), None, 1)]
    session.key = replace(KEY, model_version="new")
    assert session.ask(M) == [(("a", "m"), None, 2)]
    assert session.ask(M, K) == [(("a", "m", "k"), 2, 3)]
    session.key = replace(KEY, model_version="old")
    assert session.ask(M, K) == [(("a", "m", "k"), None, 4)]


def test_clicks_refine_the_last_answer(session: Session) -> None:
    assert session.ask(K) == [(("k",), None, 1)]
    assert session.ask(K, L) == [(("k", "l"), 1, 2)]
    assert session.ask(K, L, M) == [(("k", "l", "m"), 2, 3)]


def test_clicks_join_the_pending_box_and_refine_its_answer(session: Session) -> None:
    assert session.ask(A) == [(("a",), None, 1)]
    assert session.ask(K) == [(("a", "k"), 1, 2)]
    assert session.ask(K, M) == [(("a", "k", "m"), 2, 3)]


def test_the_same_list_again_starts_from_where_it_started(session: Session) -> None:
    session.ask(K)
    session.ask(K, L)
    assert session.ask(K, L) == [(("k", "l"), 1, 3)]
    assert session.ask(K, L) == [(("k", "l"), 1, 4)]


def test_a_list_that_does_not_extend_the_last_starts_anew(session: Session) -> None:
    session.ask(K, L)
    assert session.ask(K, M) == [(("k", "m"), None, 2)]  # l was undone
    assert session.ask(click("k", 21, 20), M) == [(("k", "m"), None, 3)]  # k was moved
    assert session.ask(click("k", 21, 20, False), L)[0][1] is None  # and turned


def test_a_moved_box_starts_anew(session: Session) -> None:
    session.ask(A)
    moved = box("a", 12, 10, 40, 40)
    assert session.ask(moved) == [(("a",), None, 2)]
    assert session.ask(K) == [(("a", "k"), 2, 3)]


def test_a_click_outside_the_box_is_an_object_of_its_own(session: Session) -> None:
    session.ask(A)
    assert session.ask(click("k", 90, 90)) == [(("k",), None, 2)]


def test_clicks_join_the_box_they_are_in(session: Session) -> None:
    session.ask(A)
    session.ask(A, B)
    assert session.ask(click("k", 70, 70)) == [(("b", "k"), 3, 4)]


def test_a_second_box_leaves_the_refined_first_as_it_is(session: Session) -> None:
    session.ask(A)
    session.ask(K)
    assert session.ask(A, B) == [(("a", "k"), 1, 3), (("b",), None, 4)]


def test_a_refined_box_stays_even_if_the_first_click_is_undone(session: Session) -> None:
    session.ask(A)
    session.ask(K, L)
    assert session.ask(L) == [(("a", "l"), None, 3)]


def test_a_box_that_a_later_context_lacks_is_gone(session: Session) -> None:
    session.ask(A)
    session.ask(B)  # a was accepted or removed
    assert session.ask(K) == [(("k",), None, 3)]


def test_clicks_that_a_later_context_lacks_take_their_box_along(session: Session) -> None:
    session.ask(A)
    session.ask(K)
    assert session.ask(L) == [(("l",), None, 3)]


def test_an_accepted_mask_ends_its_box(session: Session) -> None:
    session.ask(A)
    session.autosave(mask("mask1"))
    assert session.ask(K) == [(("k",), None, 2)]


def test_an_accepted_mask_makes_a_box_that_stays_a_leak(session: Session) -> None:
    session.ask(A)
    session.autosave(A, mask("mask1"))
    assert session.ask(A, B) == [(("b",), None, 2)]
    assert session.ask(A, B) == [(("b",), None, 3)]  # and it is not forgotten


def test_a_draft_saved_without_the_box_ends_it(session: Session) -> None:
    session.autosave()
    session.ask(A)
    session.autosave(mask("somebody else's"))
    assert session.ask(K) == [(("k",), None, 2)]


def test_a_draft_saved_with_the_box_keeps_it(session: Session) -> None:
    session.ask(A)
    session.autosave(A)
    assert session.ask(K) == [(("a", "k"), 1, 2)]


def test_a_draft_from_before_the_box_says_nothing(session: Session) -> None:
    session.autosave(mask("old"))
    session.ask(A)
    assert session.ask(K) == [(("a", "k"), 1, 2)]


def test_a_pending_box_in_the_draft_stays_a_prompt(session: Session) -> None:
    """Its tag can draw by hand too, so only memory tells it from a drawn one."""
    session.ask(A)
    session.autosave(A)
    assert [ids for ids, _, _ in session.ask(A, B)] == [("a",), ("b",)]
    restarted = Session(PromptSessions())
    restarted.autosave(A)
    assert [ids for ids, _, _ in restarted.ask(A, B)] == [("b",)]


def test_a_leaked_box_is_not_taken_for_pending_later(session: Session) -> None:
    """Drawn by hand just before, so not yet in the draft, `a` counts as a prompt: once."""
    assert [ids for ids, _, _ in session.ask(A, B)] == [("a",), ("b",)]
    session.autosave(A, B)
    assert [ids for ids, _, _ in session.ask(A, B, box("c", 0, 80, 10, 10))] == [("b",), ("c",)]


def test_memory_ends_with_time() -> None:
    now = [0.0]
    session = Session(PromptSessions(keep_s=60, clock=lambda: now[0]))
    session.ask(A)
    session.autosave(A)
    now[0] = 60
    assert session.ask(K) == [(("a", "k"), 1, 2)]
    now[0] = 121
    assert session.ask(K, L) == [(("k", "l"), None, 3)]


# ---------------------------------------------------------------- two people on one task


@pytest.fixture(params=[True, False], ids=["no drafts yet", "with drafts"])
def people(request: pytest.FixtureRequest) -> tuple[Session, Session]:
    """Two people who work on one task; ids of their regions differ, as Label Studio's do."""
    memory = PromptSessions()
    return tuple(Session(memory, draft=one, is_first=request.param) for one in (1, 2))


def test_a_click_never_joins_another_persons_pending_box(people: tuple[Session, Session]) -> None:
    anna, ben = people
    anna.ask(A)
    assert ben.ask(K) == [(("k",), None, 1)]
    anna.autosave(A)
    assert ben.ask(K, L) == [(("k", "l"), 1, 2)]
    ben.autosave(K, L)
    assert ben.ask(K, L, M) == [(("k", "l", "m"), 2, 3)]
    assert anna.ask(click("n", 20, 20)) == [(("a", "n"), 1, 2)]


def test_another_persons_prompts_end_nothing_of_mine(people: tuple[Session, Session]) -> None:
    anna, ben = people
    anna.ask(A)
    anna.ask(A, B)
    anna.autosave(A, B)
    ben.ask(K)
    ben.ask(box("c", 10, 10, 40, 40))
    assert anna.ask(click("n", 70, 70)) == [(("b", "n"), 3, 4)]
    ben.autosave(K)
    ben.ask(click("o", 70, 70))
    assert anna.ask(click("n", 70, 70), M) == [(("b", "n", "m"), 4, 5)]


def test_a_box_submitted_with_an_annotation_is_nobody_elses(
    people: tuple[Session, Session],
) -> None:
    anna, ben = people
    anna.ask(A)
    ben.annotations = [{"id": 1, "completed_by": 1, "result": [A]}]
    assert ben.ask(K) == [(("k",), None, 1)]


def test_many_prompts_of_another_person_push_mine_not_out(people: tuple[Session, Session]) -> None:
    anna, ben = people
    anna.ask(K)
    for number in range(10):
        ben.ask(click(f"b{number}", 90, 90))
    assert anna.ask(K, L) == [(("k", "l"), 1, 2)]


def test_the_first_box_of_a_task_counts_once_it_is_in_the_draft() -> None:
    session = Session(PromptSessions(), is_first=True)
    session.ask(A)
    assert session.ask(K) == [(("k",), None, 2)], "nothing tells it from another person's"
    session.autosave(A, K)
    assert session.ask(K, M) == [(("a", "k", "m"), 1, 3)]


def test_a_box_that_no_draft_has_got_is_gone() -> None:
    now = [0.0]
    session = Session(PromptSessions(clock=lambda: now[0]))
    session.ask(A)
    now[0] = AUTOSAVE_S
    assert session.recalled_boxes(K) == ["a"]
    now[0] += 0.1
    assert session.ask(K) == [(("k",), None, 2)]


OTHERS = {
    "server": SessionKey(Origin("http", "ls", 8081), "1.2", 7, "Car", KEY.image),
    "project": SessionKey(KEY.origin, "2.2", 7, "Car", KEY.image),
    "task": SessionKey(KEY.origin, "1.2", 8, "Car", KEY.image),
    "label": SessionKey(KEY.origin, "1.2", 7, "Bus", KEY.image),
    "image": SessionKey(KEY.origin, "1.2", 7, "Car", "/data/upload/1/b.png"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_is_shared_with_another(name: str) -> None:
    memory = PromptSessions()
    Session(memory).ask(A)
    Session(memory).ask(K)
    assert Session(memory, OTHERS[name]).ask(K, L) == [(("k", "l"), None, 1)]
    assert Session(memory).ask(K, L)[0][0] == ("a", "k", "l")


TASKS = [SessionKey(KEY.origin, "1.2", task, "Car", KEY.image) for task in range(4)]
LOGITS = np.zeros((64, 64), np.float32)
PROMPT = ObjectPrompt(box=Box("a", 0, 0, 10, 10))


@pytest.mark.parametrize(("first", "n_kept"), [(None, 3), (np.zeros_like(LOGITS), 1)])
def test_memory_is_bounded_in_bytes(first: Any, n_kept: int) -> None:
    memory = PromptSessions(max_bytes=3 * LOGITS.nbytes)
    for key in TASKS:
        memory.remember(key, PROMPT, LOGITS, first_logits=first)
    assert len(memory) == n_kept
    for task, boxes in ((TASKS[0], []), (TASKS[3], ["a"])):
        session = Session(memory, task)
        session.autosave(A)
        assert session.recalled_boxes(K) == boxes


def test_clicks_and_ids_count_too() -> None:
    memory = PromptSessions(max_bytes=3 * LOGITS.nbytes)
    for key in TASKS:
        memory.remember(key, PROMPT, LOGITS, [str(number) for number in range(100)])
    assert len(memory) == 1


def test_objects_of_one_task_are_bounded() -> None:
    memory = PromptSessions(per_key=3)
    boxes = [box(f"b{number}", number * 10, 0, 9, 9) for number in range(5)]
    Session(memory).ask(*boxes)
    assert Session(memory).recalled_boxes(K) == ["b2", "b3", "b4"]


def test_tasks_that_nobody_clicks_on_any_more_are_dropped() -> None:
    now = [0.0]
    memory = PromptSessions(keep_s=60, clock=lambda: now[0])
    for key in TASKS:
        memory.remember(key, PROMPT, LOGITS)
    now[0] = 61
    memory.remember(KEY, PROMPT, LOGITS)
    assert len(memory) == 1


def test_neither_full_size_masks_nor_whole_batches_are_held() -> None:
    memory = PromptSessions()
    drawn, batch = np.ones((100, 100), bool), np.zeros((8, 64, 64), np.float32)
    held = weakref.ref(drawn), weakref.ref(batch)
    memory.remember(KEY, ObjectPrompt(box=PROMPT.box, mask=drawn), batch[0])
    del drawn, batch
    assert [one() for one in held] == [None, None]
    assert len(memory) == 1


def test_a_click_sent_while_its_box_is_being_answered_joins_it() -> None:
    memory = PromptSessions()
    about = (KEY.origin, KEY.project, KEY.task_id, KEY.label)
    answered: list[Any] = []

    def click_now() -> None:
        clicking.set()
        with memory.turn(*about) as wait:
            wait()
            answered.extend(Session(memory).ask(K))

    clicking, thread = threading.Event(), threading.Thread(target=click_now)
    with memory.turn(*about) as wait:
        wait()
        thread.start()
        clicking.wait()
        thread.join(0.1)  # the click is answered at once unless it waits for its turn
        Session(memory).ask(A)
    thread.join()
    assert [ids for ids, _, _ in answered] == [("a", "k")]


def test_other_tasks_do_not_wait() -> None:
    memory = PromptSessions()
    with memory.turn(KEY.origin, KEY.project, 7, KEY.label) as wait:
        wait()
        for task in range(100, 200):
            with memory.turn(KEY.origin, KEY.project, task, KEY.label) as wait_too:
                wait_too()


def test_threads_on_many_tasks_never_mix() -> None:
    memory = PromptSessions()
    wrong: list[Any] = []

    def annotate(task: int) -> None:
        for round_ in range(50):
            session = Session(memory, SessionKey(KEY.origin, "1.2", task, "Car", KEY.image))
            first, second = click(f"{task}.{round_}", 20, 20), click(f"{task}.{round_}'", 30, 30)
            session.ask(first)
            if session.ask(first, second)[0][1] != 1:
                wrong.append((task, round_))

    threads = [threading.Thread(target=annotate, args=(task,)) for task in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
