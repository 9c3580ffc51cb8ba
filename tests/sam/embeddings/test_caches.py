"""Memory stays within its bound, layers fill those above them, a writer keeps puts off callers."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from sam_backend.sam.embeddings import (
    EmbeddingKey,
    LayeredEmbeddings,
    MemoryEmbeddings,
    WriteBehind,
)
from sam_backend.sam.types import Embedding
from tests.sam.embeddings.examples import embedding, key, same

SIZE = embedding().n_bytes


class Blocked:
    """A cache whose puts wait until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.held: dict[EmbeddingKey, Embedding] = {}

    def get(self, key: EmbeddingKey) -> Embedding | None:
        return self.held.get(key)

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        assert self.opened.wait(30)
        self.held[key] = embedding


def test_a_hit_below_fills_the_layers_above() -> None:
    layers = [MemoryEmbeddings(10**6) for _ in range(3)]
    layers[1].put(key(), embedding(3))
    assert same(LayeredEmbeddings(layers).get(key()), embedding(3))
    assert [len(layer) for layer in layers] == [1, 1, 0]


def test_a_put_reaches_every_layer_and_a_miss_none() -> None:
    layers = [MemoryEmbeddings(10**6) for _ in range(3)]
    both = LayeredEmbeddings(layers)
    assert both.get(key()) is None
    both.put(key(), embedding())
    assert [len(layer) for layer in layers] == [1, 1, 1]


def test_a_put_does_not_wait_and_close_finishes_what_waits() -> None:
    slow = Blocked()
    cache = WriteBehind(slow)
    cache.put(key("a"), embedding(1))
    cache.put(key("b"), embedding(2))
    assert cache.get(key("a")) is None
    slow.opened.set()
    cache.close()
    assert same(cache.get(key("a")), embedding(1))
    assert same(cache.get(key("b")), embedding(2))
    cache.put(key("c"), embedding())  # after close: dropped without an error
    assert cache.get(key("c")) is None


def test_puts_beyond_the_bound_are_dropped() -> None:
    slow = Blocked()
    cache = WriteBehind(slow, max_waiting=3)
    for name in "abcdefgh":
        cache.put(key(name), embedding())
    slow.opened.set()
    cache.close()
    assert sorted(held.image_digest for held in slow.held) == ["a", "b", "c"]


def test_forgets_the_least_recently_used() -> None:
    cache = MemoryEmbeddings(max_bytes=3 * SIZE)
    for name in "abc":
        cache.put(key(name), embedding())
    cache.get(key("a"))
    cache.put(key("d"), embedding())
    assert [name for name in "abcd" if cache.get(key(name)) is not None] == ["a", "c", "d"]


def test_putting_again_replaces() -> None:
    cache = MemoryEmbeddings(max_bytes=10 * SIZE)
    cache.put(key(), embedding(1))
    cache.put(key(), embedding(2))
    assert same(cache.get(key()), embedding(2))
    assert (len(cache), cache.n_bytes) == (1, SIZE)


def test_what_is_larger_than_the_bound_is_not_kept_and_pushes_nothing_out() -> None:
    cache = MemoryEmbeddings(max_bytes=SIZE)
    cache.put(key("a"), embedding())
    cache.put(key("b"), embedding(n_values=257 * 4))
    assert cache.get(key("b")) is None
    assert same(cache.get(key("a")), embedding())


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), max_size=60))
def test_never_exceeds_its_bound(puts: list[tuple[int, int]]) -> None:
    cache = MemoryEmbeddings(max_bytes=1000)
    for name, n_values in puts:
        cache.put(key(str(name)), embedding(n_values=4 * n_values))
        assert cache.n_bytes <= 1000
        held = [cache.get(key(str(other))) for other in range(10)]
        assert cache.n_bytes == sum(entry.n_bytes for entry in held if entry is not None)


def test_threads_get_only_what_was_put_under_their_key() -> None:
    cache = MemoryEmbeddings(max_bytes=5 * SIZE)
    wrong: list[int] = []

    def work(start: int) -> None:
        for round_ in range(1000):
            value = (start + round_) % 10
            cache.put(key(str(value)), embedding(value))
            found = cache.get(key(str(value)))
            if found is not None and found.features[0, 0, 0] != value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.n_bytes <= 5 * SIZE
