"""One encode for all who ask, never another image's embedding, clicks first."""

import random
import threading
from collections import Counter
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from sam_backend.sam.device import DeviceOwner, Priority
from sam_backend.sam.embeddings import EmbeddingKey, MemoryEmbeddings
from sam_backend.sam.single_flight import Encode, Prepare, SharedEncodes
from sam_backend.sam.types import Embedding
from tests.sam.embeddings.examples import embedding, key, same
from tests.sam.test_device import Gate


def ready(encode: Encode) -> Prepare:
    """Nothing to prepare."""
    return lambda: encode


@pytest.fixture
def device():
    with DeviceOwner() as owner:
        yield owner


def test_many_requests_at_once_share_one_encode(device: DeviceOwner) -> None:
    encodes = SharedEncodes(MemoryEmbeddings(10**6), device)
    made: list[int] = []
    gate = Gate(device)
    start = threading.Barrier(16)

    def encode() -> Embedding:
        made.append(1)
        return embedding(4)

    def ask() -> Embedding:
        start.wait(10)
        return encodes.get_or_encode(key(), ready(encode))

    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask) for _ in range(16)]
        while encodes.counts.joined < 15:
            threading.Event().wait(0.001)
        gate.open()
        answers = [future.result(10) for future in asked]
    assert len(made) == 1
    assert all(answer is answers[0] for answer in answers)
    assert encodes.get_or_encode(key(), ready(encode)) is answers[0]
    assert len(made) == 1
    counts = encodes.counts
    assert (counts.encoded, counts.joined, counts.cached, counts.failed) == (1, 15, 1, 0)


def test_a_thousand_rounds_two_images_never_each_others_embedding(device: DeviceOwner) -> None:
    """Two threads and a cache that holds one embedding, so that lookups and encodes interleave."""
    encodes = SharedEncodes(MemoryEmbeddings(embedding().n_bytes), device)
    wrong: list[str] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(1000):
            value = rng.choice([1, 2])
            priority = rng.choice(list(Priority))
            found = encodes.get_or_encode(
                key(str(value)), ready(lambda value=value: embedding(value)), priority
            )
            if not same(found, embedding(value)):
                wrong.append(str(value))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    counts = encodes.counts
    assert counts.cached + counts.encoded + counts.joined == 2000
    assert counts.failed == 0


def test_with_room_for_all_each_image_is_encoded_once_whoever_asks(device: DeviceOwner) -> None:
    encodes = SharedEncodes(MemoryEmbeddings(10**7), device)
    made: Counter[int] = Counter()

    def encode(value: int) -> Embedding:
        made[value] += 1
        return embedding(value)

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for value in rng.sample(range(100), 100):
            priority = rng.choice(list(Priority))
            encodes.get_or_encode(
                key(str(value)), ready(lambda value=value: encode(value)), priority
            )

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == Counter(range(100))


def test_a_click_moves_a_waiting_background_encode_forward(device: DeviceOwner) -> None:
    encodes = SharedEncodes(MemoryEmbeddings(10**6), device)
    order: list[str] = []

    def encode(name: str) -> Embedding:
        order.append(name)
        return embedding()

    gate = Gate(device)
    futures = {
        name: encodes.start(key(name), ready(lambda name=name: encode(name)), Priority.BACKGROUND)
        for name in "abcd"
    }
    assert encodes.start(key("c"), ready(lambda: encode("c")), Priority.OPEN) is futures["c"]
    assert encodes.start(key("d"), ready(lambda: encode("d")), Priority.CLICK) is futures["d"]
    assert encodes.start(key("d"), ready(lambda: encode("d")), Priority.BACKGROUND) is futures["d"]
    assert device.queue_length == 4
    gate.open()
    for future in futures.values():
        future.result(10)
    assert order == ["d", "c", "a", "b"]


def test_an_error_reaches_everybody_and_the_next_request_tries_again(device: DeviceOwner) -> None:
    encodes = SharedEncodes(MemoryEmbeddings(10**6), device)
    gate = Gate(device)

    def fail() -> Embedding:
        raise ValueError("broken image")

    futures = [encodes.start(key(), ready(fail)) for _ in range(2)]
    gate.open()
    for future in futures:
        with pytest.raises(ValueError, match="broken image"):
            future.result(10)
    assert same(encodes.get_or_encode(key(), ready(lambda: embedding(2))), embedding(2))


def test_closing_the_device_leaves_nobody_waiting() -> None:
    owner = DeviceOwner()
    encodes = SharedEncodes(MemoryEmbeddings(10**6), owner)
    gate = Gate(owner)
    waiting = encodes.start(key("a"), ready(embedding))
    closer = threading.Thread(target=owner.close)
    closer.start()
    with pytest.raises(CancelledError):
        waiting.result(10)
    gate.open()
    closer.join(10)
    with pytest.raises(RuntimeError, match="closed"):
        encodes.get_or_encode(key("b"), ready(embedding))


def test_a_click_that_comes_while_the_cache_is_asked_counts_afterwards(
    device: DeviceOwner,
) -> None:
    class Slow(MemoryEmbeddings):
        asked, answer = threading.Event(), threading.Event()

        def get(self, key: EmbeddingKey) -> Embedding | None:
            if key.image_digest == "slow":
                self.asked.set()
                assert self.answer.wait(10)
            return super().get(key)

    cache = Slow(10**6)
    encodes = SharedEncodes(cache, device)
    order: list[str] = []
    gate = Gate(device)

    def encode(name: str) -> Embedding:
        order.append(name)
        return embedding()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            encodes.start, key("slow"), ready(lambda: encode("slow")), Priority.BACKGROUND
        )
        assert cache.asked.wait(10)
        other = encodes.start(key("other"), ready(lambda: encode("other")), Priority.OPEN)
        click = encodes.start(key("slow"), ready(lambda: encode("slow")), Priority.CLICK)
        cache.answer.set()
        assert first.result(10) is click
        gate.open()
        click.result(10)
        other.result(10)
    assert order == ["slow", "other"]


def test_a_click_does_not_restart_an_encode_that_runs(device: DeviceOwner) -> None:
    encodes = SharedEncodes(MemoryEmbeddings(10**6), device)
    running, finish = threading.Event(), threading.Event()
    made: list[int] = []

    def encode() -> Embedding:
        made.append(1)
        running.set()
        assert finish.wait(10)
        return embedding()

    first = encodes.start(key(), ready(encode), Priority.BACKGROUND)
    assert running.wait(10)
    click = encodes.start(key(), ready(encode), Priority.CLICK)
    finish.set()
    assert click.result(10) is first.result(10)
    assert device.submit(lambda: len(made)).result(10) == 1


def test_a_cache_that_breaks_its_promise_leaves_nobody_waiting(device: DeviceOwner) -> None:
    class Broken(MemoryEmbeddings):
        def get(self, key: EmbeddingKey) -> Embedding | None:
            raise OSError("gone")

    encodes = SharedEncodes(Broken(10**6), device)
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            encodes.start(key(), ready(embedding))
    assert encodes.counts.failed == 2


def test_images_are_prepared_by_who_asks_and_only_when_needed(device: DeviceOwner) -> None:
    """Decoding a giant keeps no click waiting: the device's thread gets it small."""
    encodes = SharedEncodes(MemoryEmbeddings(10**6), device)
    prepared: list[int] = []

    def prepare() -> Encode:
        prepared.append(threading.get_ident())
        return embedding

    for _ in range(3):
        encodes.get_or_encode(key(), prepare)
    assert prepared == [threading.get_ident()]


def test_a_click_joins_an_image_that_is_being_prepared(device: DeviceOwner) -> None:
    encodes = SharedEncodes(MemoryEmbeddings(10**6), device)
    asked, go_on = threading.Event(), threading.Event()
    order: list[str] = []
    gate = Gate(device)

    def prepare() -> Encode:
        asked.set()
        assert go_on.wait(10)
        return lambda: order.append("slow") or embedding()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(encodes.start, key("slow"), prepare, Priority.BACKGROUND)
        assert asked.wait(10)
        other = encodes.start(
            key("other"), ready(lambda: order.append("other") or embedding()), Priority.OPEN
        )
        click = encodes.start(key("slow"), prepare, Priority.CLICK)
        go_on.set()
        assert first.result(10) is click
        gate.open()
        click.result(10)
        other.result(10)
    assert order == ["slow", "other"]


def test_an_image_that_cannot_be_read_is_told_to_all(device: DeviceOwner) -> None:
    encodes = SharedEncodes(MemoryEmbeddings(10**6), device)
    asked, go_on = threading.Event(), threading.Event()

    def prepare() -> Encode:
        asked.set()
        assert go_on.wait(10)
        raise ValueError("broken image")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(encodes.start, key(), prepare)
        assert asked.wait(10)
        joined = encodes.start(key(), prepare, Priority.CLICK)
        go_on.set()
        for waiting in (first, joined):
            with pytest.raises(ValueError, match="broken image"):
                waiting.result(10)
    assert same(encodes.get_or_encode(key(), ready(lambda: embedding(2))), embedding(2))
