"""Each project its model on one device: loaded on demand, in bounded memory, in nobody's way."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sam_backend.errors import ModelStoreError
from sam_backend.sam.device import Priority
from sam_backend.sam.embeddings import MemoryEmbeddings
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.types import Prompt
from sam_backend.serving.champion import Champion
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.serving.served_model import Checkpoint, ServedModel
from sam_backend.serving.served_models import ServedModels
from sam_backend.store.models import ModelEntry
from sam_backend.store.project_models import ProjectModel
from tests.serving.checkpoints import checkpoint, segmenter

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
CLICK = Prompt(points=np.array([[30.0, 20.0]], np.float32), labels=np.array([True]))
SIZE = 100


def sized(name: str, seed: int, load: Callable[[], Segmenter] | None = None) -> Checkpoint:
    return replace(checkpoint(name, seed, load), n_bytes=SIZE)


DEFAULT, A, B, C = (sized(name, seed) for seed, name in enumerate(("default", "a", "b", "c")))


class Choices(ModelChoice):
    """Which checkpoint a project names, as the test says."""

    def __init__(self, named: dict[str, Checkpoint | str]) -> None:
        self.named = named
        self.n_changes = 0

    def give(self, project: str, one: Checkpoint | str) -> None:
        self.named[project] = one
        self.n_changes += 1

    def project_stamp(self) -> object:
        return self.n_changes

    def project_model(self, project: str, extra: str) -> ProjectModel | None:
        one = self.named.get(project)
        if one is None:
            return None
        if isinstance(one, str):
            return ProjectModel("none", "models use", None, one)
        entry = ModelEntry(one.card, Path(project), Path(project))
        return ProjectModel(one.card.version, "models use", entry)

    def checkpoint_of(self, entry: ModelEntry) -> Checkpoint:
        one = self.named[str(entry.folder)]
        assert isinstance(one, Checkpoint)
        return one


class Bench:
    """Models, what they are asked for, and what they told."""

    def __init__(self, n_models: int, patience_s: float = 60.0, **named: Checkpoint | str) -> None:
        self.told: list[tuple[str, str]] = []
        self.choices = Choices(dict(named))
        self.models = ServedModels(
            Champion(DEFAULT, MemoryEmbeddings(10**7)),
            self.choices,
            lambda project: "",
            n_models * SIZE,
            lambda *told: self.told.append(told),
            patience_s,
        )

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.models.close()

    def click(self, project: str) -> str:
        """Version that answers."""
        with self.models.lease(project) as model:
            logits(model)
            return model.model_version

    def loaded(self) -> list[str]:
        return [one.model_version.partition("+")[0] for one in self.models.view({})]


class Gate:
    """A loader that tells that it has begun, and waits to be let through."""

    def __init__(self, name: str, seed: int) -> None:
        self.begun, self.opened = threading.Event(), threading.Event()
        self._made = segmenter(name, seed)  # seeds are of the whole process
        self.checkpoint = sized(name, seed, self._load)

    def _load(self) -> Segmenter:
        self.begun.set()
        assert self.opened.wait(60)
        return self._made


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate("b", 2)
    yield made
    made.opened.set()


def logits(model: ServedModel) -> np.ndarray:
    embedding = model.embedding_of("image", lambda: IMAGE, Priority.CLICK)
    ((candidate,),) = model.predict(embedding, [CLICK])
    return candidate.logits


def alone(name: str, seed: int) -> np.ndarray:
    one = segmenter(name, seed)
    return one.predict(one.embed(IMAGE), CLICK, limit=1)[0].logits


def test_each_project_is_answered_by_its_model_and_all_others_by_the_champion() -> None:
    with Bench(3, p1=A, p2=B) as bench:
        for project, one, seed in (("p1", A, 1), ("p2", B, 2), ("p3", DEFAULT, 0), ("p1", A, 1)):
            with bench.models.lease(project) as model:
                assert model.model_version == one.model_version
                np.testing.assert_allclose(logits(model), alone(one.card.version, seed), atol=1e-4)
        assert bench.loaded() == ["default", "a", "b"]
        assert bench.models.champion.encode_counts.encoded == 3, "one embedding for each model"
        assert bench.told == []


def test_two_projects_that_name_one_model_share_it() -> None:
    with Bench(2, p1=A, p2=A) as bench, bench.models.lease("p1") as one:
        with bench.models.lease("p2") as other:
            assert one is other
        assert bench.loaded() == ["default", "a"]


def test_a_project_that_names_the_champion_is_answered_by_it() -> None:
    with Bench(1, p1=DEFAULT) as bench:
        assert bench.click("p1") == DEFAULT.model_version
        assert bench.loaded() == ["default"]


def test_the_idle_model_that_was_used_least_lately_goes() -> None:
    with Bench(3, p1=A, p2=B, p3=C) as bench:
        bench.click("p1")
        bench.click("p2")
        bench.click("p1")
        bench.click("p3")
        assert bench.loaded() == ["default", "a", "c"]
        assert bench.click("p2") == B.model_version, "it comes back when it is needed"
        assert bench.loaded() == ["default", "c", "b"]


def test_a_leased_model_never_goes_and_whoever_needs_its_room_gets_it_next() -> None:
    with Bench(2, p1=A, p2=B) as bench, ThreadPoolExecutor(1) as pool:
        with bench.models.lease("p1") as model:
            waiting = pool.submit(bench.click, "p2")
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
            assert bench.loaded() == ["default", "a"]
            np.testing.assert_allclose(logits(model), alone("a", 1), atol=1e-4)
        assert waiting.result(60) == B.model_version
        assert bench.loaded() == ["default", "b"]


def test_work_that_nobody_looks_at_gives_way_to_whoever_needs_room() -> None:
    with Bench(2, p1=A, p2=B) as bench, ThreadPoolExecutor(2) as pool:

        def prefill() -> str:
            with bench.models.lease("p1", gives_way=True) as model:
                return model.model_version

        with bench.models.lease("p1"):
            clicking = pool.submit(bench.click, "p2")
            with pytest.raises(TimeoutError):
                clicking.result(0.3)
            prefilling = pool.submit(prefill)
            with pytest.raises(TimeoutError):
                prefilling.result(0.3)
            assert bench.click("p1") == A.model_version, "a click on what is here waits for nobody"
        assert clicking.result(60) == B.model_version
        assert prefilling.result(60) == A.model_version


def test_room_that_does_not_come_is_an_error_that_names_the_setting() -> None:
    with Bench(2, patience_s=0.2, p1=A, p2=B) as bench, bench.models.lease("p1"):
        with (
            pytest.raises(ModelStoreError, match=r"no room for b.*SAM_BACKEND_MODELS_MEMORY_MB"),
            bench.models.lease("p2"),
        ):
            pass
        assert bench.click("p3") == DEFAULT.model_version


def test_a_model_that_can_never_fit_is_told_and_the_champion_answers() -> None:
    with Bench(1, p1=A) as bench:
        assert [bench.click("p1") for _ in range(2)] == [DEFAULT.model_version] * 2
        ((subject, reason),) = bench.told
        assert subject == "project p1"
        assert "model a needs" in reason
        assert "SAM_BACKEND_MODELS_MEMORY_MB" in reason
        assert f"The default model {DEFAULT.model_version} answers instead" in reason


def test_nobody_waits_for_the_model_that_another_project_loads(gate: Gate) -> None:
    with Bench(3, p1=A, p2=gate.checkpoint) as bench, ThreadPoolExecutor(1) as pool:
        bench.click("p1")
        waiting = pool.submit(bench.click, "p2")
        assert gate.begun.wait(60)
        assert bench.click("p1") == A.model_version
        assert bench.click("p3") == DEFAULT.model_version
        assert not waiting.done()
        gate.opened.set()
        assert waiting.result(60) == B.model_version


def test_a_project_goes_on_with_its_model_while_its_next_one_loads(gate: Gate) -> None:
    with Bench(3, p1=A) as bench:
        bench.click("p1")
        bench.choices.give("p1", gate.checkpoint)
        assert bench.click("p1") == A.model_version
        assert gate.begun.wait(60)
        assert bench.click("p1") == A.model_version
        gate.opened.set()
        bench.models._slots[B.model_version].model.wait()
        assert bench.click("p1") == B.model_version


def test_a_next_model_takes_the_room_of_the_one_before_where_both_do_not_fit() -> None:
    with Bench(2, p1=A) as bench:
        bench.click("p1")
        bench.choices.give("p1", B)
        assert bench.click("p1") == B.model_version
        assert bench.loaded() == ["default", "b"]


def test_the_champion_goes_on_for_a_project_that_named_it_while_its_next_one_loads(
    gate: Gate,
) -> None:
    with Bench(2, p1=DEFAULT) as bench:
        bench.click("p1")
        bench.choices.give("p1", gate.checkpoint)
        assert bench.click("p1") == DEFAULT.model_version
        gate.opened.set()
        bench.models._slots[B.model_version].model.wait()
        assert bench.click("p1") == B.model_version
        assert bench.told == []


def test_a_projects_model_that_becomes_the_champion_is_in_memory_once() -> None:
    with Bench(2, p1=A) as bench:
        bench.click("p1")
        bench.models.champion.replace(A)
        assert bench.click("p1") == A.model_version
        assert bench.loaded() == ["a"]


def test_many_clicks_at_once_load_a_model_once() -> None:
    n_loads = []
    made = segmenter("b", 2)

    def load() -> Segmenter:
        n_loads.append(1)
        return made

    with Bench(2, p1=sized("b", 2, load)) as bench, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(bench.click, ["p1"] * 24))
    assert set(answers) == {B.model_version}
    assert len(n_loads) == 1


def test_models_that_take_turns_in_too_little_room_all_answer() -> None:
    with Bench(2, p1=A, p2=B, p3=C) as bench, ThreadPoolExecutor(6) as pool:
        asked = [f"p{1 + n % 3}" for n in range(30)]
        answers = list(pool.map(bench.click, asked))
        expected = {"p1": A, "p2": B, "p3": C}
        assert answers == [expected[project].model_version for project in asked]
        assert len(bench.loaded()) == 2


def test_an_unknown_name_is_told_once_and_the_champion_answers_until_it_is_there() -> None:
    with Bench(2, p1="project p1 asks for no model 'x'") as bench:
        assert [bench.click("p1") for _ in range(3)] == [DEFAULT.model_version] * 3
        ((_, reason),) = bench.told
        assert reason.startswith("project p1 asks for no model 'x'. The default model default+")
        bench.choices.give("p1", A)
        assert bench.click("p1") == A.model_version


def test_a_model_that_cannot_be_loaded_is_told_once_and_tried_again_after_a_change() -> None:
    def load() -> Segmenter:
        raise ModelStoreError("weights are damaged")

    with Bench(3, p1=sized("b", 2, load)) as bench:
        assert [bench.click("p1") for _ in range(3)] == [DEFAULT.model_version] * 3
        ((_, reason),) = bench.told
        assert "cannot be loaded: weights are damaged" in reason
        bench.choices.give("p1", B)
        assert bench.click("p1") == B.model_version


def test_a_next_model_that_cannot_be_loaded_leaves_the_projects_own() -> None:
    def load() -> Segmenter:
        raise ModelStoreError("weights are damaged")

    with Bench(3, p1=A) as bench:
        bench.click("p1")
        bench.choices.give("p1", sized("b", 2, load))
        assert {bench.click("p1") for _ in range(20)} == {A.model_version}


def test_the_view_names_models_states_and_projects(gate: Gate) -> None:
    with Bench(3, p1=A, p2=gate.checkpoint, p3=A) as bench, ThreadPoolExecutor(1) as pool:
        bench.click("p1")
        waiting = pool.submit(bench.click, "p2")
        assert gate.begun.wait(60)
        choices = {name: bench.models.choice_of(name) for name in ("p1", "p2", "p3")}
        view = bench.models.view({name: one for name, one in choices.items() if one is not None})
        assert [(one.state, one.is_default, one.projects, one.n_bytes) for one in view] == [
            ("ready", True, (), SIZE),
            ("ready", False, ("p1", "p3"), SIZE),
            ("loading", False, ("p2",), SIZE),
        ]
        gate.opened.set()
        waiting.result(60)


def test_closing_tells_who_waits(gate: Gate) -> None:
    with Bench(2, p1=gate.checkpoint, p2=A) as bench, ThreadPoolExecutor(2) as pool:
        loading = pool.submit(bench.click, "p1")
        assert gate.begun.wait(60)
        waiting = pool.submit(bench.click, "p2")
        closing = threading.Thread(target=bench.models.close)
        closing.start()
        with pytest.raises(ModelStoreError, match="stopping"):
            waiting.result(60)
        gate.opened.set()
        closing.join()
        with pytest.raises((ModelStoreError, RuntimeError)):
            loading.result(60)
