"""The served champion is replaced: who is answered by which model, and what is freed when."""

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sam_backend.errors import ModelStoreError
from sam_backend.sam.device import Priority
from sam_backend.sam.embeddings import MemoryEmbeddings
from sam_backend.sam.preprocess import PreparedImage
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.types import Embedding, Prompt
from sam_backend.serving.champion import Champion
from sam_backend.serving.served_model import ServedModel
from tests.serving.checkpoints import checkpoint, segmenter

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
CLICK = Prompt(points=np.array([[30.0, 20.0]], np.float32), labels=np.array([True]))
A, B, C = (checkpoint(name, seed) for seed, name in enumerate("abc"))


@pytest.fixture
def champion() -> Iterator[Champion]:
    made = Champion(A, MemoryEmbeddings(10**7))
    yield made
    made.close()


def logits(model: ServedModel, image_digest: str = "image") -> np.ndarray:
    """What the model answers to one click."""
    embedding = model.embedding_of(image_digest, lambda: IMAGE, Priority.CLICK)
    ((candidate,),) = model.predict(embedding, [CLICK])
    return candidate.logits


def expected(name: str, seed: int) -> np.ndarray:
    alone = segmenter(name, seed)
    return alone.predict(alone.embed(IMAGE), CLICK, limit=1)[0].logits


ALONE = {A.model_version: expected("a", 0), B.model_version: expected("b", 1)}


def test_new_requests_go_to_the_new_model_and_begun_ones_end_on_the_old(
    champion: Champion,
) -> None:
    with champion.lease() as begun:
        embedding = begun.embedding_of("image", lambda: IMAGE, Priority.CLICK)
        champion.replace(B)
        assert champion.view().finishing == (A.model_version,)
        with champion.lease() as new:
            assert new.model_version == champion.model_version == B.model_version
            np.testing.assert_allclose(logits(new), ALONE[B.model_version], atol=1e-4)
        ((candidate,),) = begun.predict(embedding, [CLICK])
        np.testing.assert_allclose(candidate.logits, ALONE[A.model_version], atol=1e-4)
    assert champion.view().finishing == ()


def test_the_old_model_answers_while_the_new_one_loads(champion: Champion) -> None:
    may_end, at_work = threading.Event(), threading.Event()

    def load() -> Segmenter:
        at_work.set()
        may_end.wait(60)
        return segmenter("b", 1)

    with ThreadPoolExecutor(1) as pool:
        replacing = pool.submit(champion.replace, checkpoint("b", 1, load))
        at_work.wait()
        assert champion.view().loading == B.model_version
        with champion.lease() as model:
            np.testing.assert_allclose(logits(model), ALONE[A.model_version], atol=1e-4)
        may_end.set()
        replacing.result()
    assert (champion.model_version, champion.view().loading) == (B.model_version, None)


def test_an_old_network_is_freed_with_its_last_request() -> None:
    networks: list[weakref.ref[Segmenter]] = []

    def load() -> Segmenter:
        made = segmenter("a", 0)
        networks.append(weakref.ref(made))
        return made

    champion = Champion(checkpoint("a", 0, load), MemoryEmbeddings(10**7))
    try:
        with champion.lease() as model:
            logits(model)
            champion.replace(B)
            logits(model, "another image")
            assert networks[0]() is not None
        gc.collect()
        assert networks[0]() is None
    finally:
        champion.close()


def test_there_is_never_more_than_one_model_too_many(champion: Champion) -> None:
    with ThreadPoolExecutor(1) as pool:
        with champion.lease() as first:
            first.segmenter()
            champion.replace(B)
            third = pool.submit(champion.replace, C)
            with pytest.raises(TimeoutError):
                third.result(0.2)
            assert champion.view().loading is None
        third.result()
    assert champion.model_version == C.model_version


@pytest.mark.parametrize("error", [ModelStoreError("weights are damaged"), MemoryError()])
def test_a_champion_that_cannot_be_loaded_leaves_the_old_one(
    champion: Champion, error: Exception
) -> None:
    def load() -> Segmenter:
        raise error

    with pytest.raises(ModelStoreError, match=str(error) or "MemoryError"):
        champion.replace(checkpoint("b", 1, load))
    with champion.lease() as model:
        np.testing.assert_allclose(logits(model), ALONE[A.model_version], atol=1e-4)
    champion.replace(B)
    assert champion.model_version == B.model_version


def test_a_first_model_that_failed_can_be_replaced_and_tried_again() -> None:
    failures = [ModelStoreError("not yet")]

    def load() -> Segmenter:
        if failures:
            raise failures.pop()
        return segmenter("a", 0)

    champion = Champion(checkpoint("a", 0, load), MemoryEmbeddings(10**7))
    try:
        with champion.lease() as model, pytest.raises(ModelStoreError, match="not yet"):
            model.segmenter()
        champion.replace(checkpoint("a", 0, load))
        with champion.lease() as model:
            np.testing.assert_allclose(logits(model), ALONE[A.model_version], atol=1e-4)
    finally:
        champion.close()


def test_the_served_checkpoint_is_not_loaded_again(champion: Champion) -> None:
    before = champion.view().served
    champion.replace(A)
    assert champion.view().served is before


def test_all_models_share_one_thread_of_the_device(
    champion: Champion, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    encode = Segmenter.encode

    def watched(self: Segmenter, images: list[PreparedImage]) -> list[Embedding]:
        seen.append(threading.current_thread())
        return encode(self, images)

    monkeypatch.setattr(Segmenter, "encode", watched)
    for one in (A, B, C):
        champion.replace(one)
        with champion.lease() as model:
            model.embedding_of("image", lambda: IMAGE, Priority.BACKGROUND)
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert threading.current_thread() not in seen
    assert champion.encode_counts.encoded == 3


def test_closing_ends_a_replacement_under_way(champion: Champion) -> None:
    never = threading.Event()
    at_work = threading.Event()

    def load() -> Segmenter:
        at_work.set()
        never.wait(60)
        return segmenter("b", 1)

    with ThreadPoolExecutor(1) as pool:
        replacing = pool.submit(champion.replace, checkpoint("b", 1, load))
        at_work.wait()
        champion.close()
        with pytest.raises(ModelStoreError, match="stopping"):
            replacing.result()
        never.set()
    with champion.lease() as model, pytest.raises(ModelStoreError, match="stopping"):
        model.segmenter()
