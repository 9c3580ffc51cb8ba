"""Label Studio may be away: what is repeated, how long, and what is not."""

from collections.abc import Callable

import pytest

from sam_backend.errors import LabelStudioError, LabelStudioUnavailableError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.retry import Retry
from tests.canned_server import Request, canned_server


class Waiting:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses: list[float] = []

    def sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        self.now_s += pause_s

    def retry(self, give_up_s: float) -> Retry:
        return Retry(give_up_s, self.sleep, lambda: self.now_s)


def failing(times: int, error: Exception) -> Callable[[], str]:
    left = [error] * times

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    return work


def test_pauses_double_up_to_a_minute() -> None:
    waiting = Waiting()
    assert waiting.retry(600).get(failing(9, LabelStudioUnavailableError("away"))) == "done"
    assert waiting.pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_what_label_studio_asks_for_is_waited() -> None:
    waiting = Waiting()
    waiting.retry(600).get(failing(2, LabelStudioUnavailableError("busy", 7)))
    assert waiting.pauses == [7, 7]


def test_patience_ends() -> None:
    waiting = Waiting()
    with pytest.raises(LabelStudioUnavailableError, match="away"):
        waiting.retry(10).get(failing(99, LabelStudioUnavailableError("away")))
    assert waiting.pauses == [1, 2, 4]
    with pytest.raises(LabelStudioUnavailableError):
        waiting.retry(0).get(failing(1, LabelStudioUnavailableError("away")))


def test_a_refusal_is_not_repeated() -> None:
    waiting = Waiting()
    with pytest.raises(LabelStudioError, match="no such project"):
        waiting.retry(600).get(failing(1, LabelStudioError("no such project")))
    assert waiting.pauses == []


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_busy_and_broken_servers_are_waited_for(status: int) -> None:
    # the client itself asks a broken server three times
    n_refused = 1 if status == 429 else 3
    answers = [(200, {"release": "1.23.2"}), *[(status, {"detail": "later"})] * n_refused]

    def answer(request: Request) -> tuple[int, object]:
        return answers.pop()

    waiting = Waiting()
    with canned_server({"GET /api/version/": answer}) as server:
        client = LabelStudioClient(LabelStudioHost(server.url, "token"))
        assert waiting.retry(60).get(client.version) == {"release": "1.23.2"}
    assert waiting.pauses == [1]
    with pytest.raises(LabelStudioUnavailableError):  # nobody listens any more
        waiting.retry(5).get(client.version)
    assert waiting.pauses == [1, 1, 2]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refusals_of_a_server_are_told_at_once(status: int) -> None:
    waiting = Waiting()
    with canned_server({"GET /api/version/": (status, {"detail": "no"})}) as server:
        client = LabelStudioClient(LabelStudioHost(server.url, "token"))
        with pytest.raises(LabelStudioError, match=f"answers {status}: no"):
            waiting.retry(60).get(client.version)
    assert waiting.pauses == []
