"""The device's owner: one thread, clicks first."""

import threading
from concurrent.futures import CancelledError, Future

import pytest

from sam_backend.sam.device import DeviceOwner, Priority


class Gate:
    """Work that holds the device until it is opened, so that a queue can build up behind it."""

    def __init__(self, owner: DeviceOwner) -> None:
        self._running, self._open = threading.Event(), threading.Event()
        self.future = owner.submit(self._work)
        assert self._running.wait(10)

    def _work(self) -> None:
        self._running.set()
        assert self._open.wait(30)

    def open(self) -> None:
        self._open.set()
        self.future.result(10)


def test_clicks_go_ahead_and_each_priority_keeps_its_order_under_load() -> None:
    done: list[tuple[Priority, int]] = []
    with DeviceOwner() as owner:
        gate = Gate(owner)
        futures: list[Future[None]] = []
        for number in range(300):
            priority = Priority([2, 0, 1, 2, 1][number % 5])
            item = (priority, number)
            futures.append(owner.submit(lambda item=item: done.append(item), priority))
        assert owner.queue_length == 300
        gate.open()
        for future in futures:
            future.result(10)
        assert owner.queue_length == 0
    assert done == sorted(done)
    assert len(done) == 300


def test_a_click_waits_for_at_most_the_piece_that_runs() -> None:
    done: list[str] = []
    with DeviceOwner() as owner:
        gate = Gate(owner)
        last = [owner.submit(lambda: done.append("bg"), Priority.BACKGROUND) for _ in range(50)]
        click = owner.submit(lambda: list(done), Priority.CLICK)
        gate.open()
        assert click.result(10) == []
        last[-1].result(10)
    assert len(done) == 50


def test_everything_runs_on_one_thread_one_at_a_time() -> None:
    inside = threading.Lock()
    overlaps, threads = [], set()

    def work() -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(1)
            return
        threads.add(threading.get_ident())
        inside.release()

    with DeviceOwner() as owner:
        submitters = [
            threading.Thread(target=lambda: [owner.submit(work).result(10) for _ in range(100)])
            for _ in range(8)
        ]
        for submitter in submitters:
            submitter.start()
        for submitter in submitters:
            submitter.join()
    assert overlaps == []
    assert len(threads) == 1


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3), KeyboardInterrupt()])
def test_an_error_goes_to_its_future_and_the_owner_lives_on(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with DeviceOwner() as owner:
        failed = owner.submit(fail)
        assert failed.exception(10) is error
        assert owner.submit(lambda: 7).result(10) == 7


def test_cancelled_work_is_skipped_and_not_counted() -> None:
    done: list[int] = []
    with DeviceOwner() as owner:
        gate = Gate(owner)
        futures = [owner.submit(lambda i=i: done.append(i)) for i in range(4)]
        assert futures[1].cancel()
        assert owner.queue_length == 3
        assert not gate.future.cancel(), "what runs cannot be cancelled"
        gate.open()
        futures[3].result(10)
    assert done == [0, 2, 3]


def test_close_cancels_what_waits_and_refuses_more() -> None:
    owner = DeviceOwner()
    gate = Gate(owner)
    waiting = owner.submit(lambda: 1)
    closer = threading.Thread(target=owner.close)
    closer.start()
    with pytest.raises(CancelledError):
        waiting.result(10)
    gate.open()
    closer.join(10)
    assert not closer.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        owner.submit(lambda: 1)
    owner.close()


def test_seconds_are_counted_by_stage_also_of_work_that_fails() -> None:
    now = [0.0]

    def spend(seconds: float) -> None:
        now[0] += seconds

    def fail() -> None:
        spend(0.25)
        raise ValueError("too much")

    with DeviceOwner(clock=lambda: now[0]) as owner:
        owner.submit(lambda: spend(2.0), stage="encode").result(10)
        owner.submit(lambda: spend(0.5), stage="decode").result(10)
        with pytest.raises(ValueError, match="too much"):
            owner.submit(fail, stage="decode").result(10)
        owner.submit(lambda: spend(1.0)).result(10)
        assert owner.spent_s == {"encode": 2.0, "decode": 0.75, "other": 1.0}
        assert owner.busy_s == 3.75


def test_busy_seconds_count_finished_and_running_work() -> None:
    now = [100.0]
    with DeviceOwner(clock=lambda: now[0]) as owner:
        assert owner.busy_s == 0.0
        gate = Gate(owner)
        now[0] += 2.5
        assert owner.busy_s == 2.5
        gate.open()
        owner.submit(lambda: None).result(10)
        now[0] += 10
        assert owner.busy_s == 2.5
