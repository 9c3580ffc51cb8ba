"""HTTP connections to one Label Studio that guard the token and check each answer."""

import re
import time
from typing import Any

import httpx

from sam_backend.errors import LabelStudioError, LabelStudioUnavailableError
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.tokens import Authorization
from sam_backend.labelstudio.images.redaction import readable

_MAX_REASON = 200
_PAUSES_S = (0.3, 1.0)
_SECRET = re.compile(r"[0-9a-f]{40}|eyJ[\w-]+(?:\.[\w-]*){1,2}", re.IGNORECASE)


class GuardedHttp(httpx.Client):
    """Connections to one Label Studio, for label-studio-sdk and for our own calls.

    Redirects are not followed and proxies of the environment not used, so that the token reaches
    Label Studio's own address only.

    Args:
        host: The Label Studio.
        authorization: Access token of this host.
        timeout_s: Limit of connecting and of each read, in seconds.
    """

    def __init__(
        self, host: LabelStudioHost, authorization: Authorization, timeout_s: float
    ) -> None:
        super().__init__(
            auth=authorization, timeout=timeout_s, trust_env=False, follow_redirects=False
        )
        self._host = host

    def request(self, method: str, url: Any, *, headers: Any = None, **options: Any) -> Any:
        """Make a call for label-studio-sdk, which looks for no errors of ours in the answer.

        Its headers are left out: they would tell the server our kernel, and hold a token that is
        none.

        Raises:
            LabelStudioError: Label Studio is out of reach, refuses the call, or answers no JSON.
        """
        response = self.checked(method, str(url), **options)
        self.json_of(response)
        return response

    def checked(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Make a call that has to succeed; `options` are those of `httpx.Client.request`.

        A call that only reads is made again, twice, after an error of the server.

        Raises:
            LabelStudioError: Label Studio is out of reach, or answers an error or a redirect.
        """
        response = self.plain(method, url, **options)
        for pause_s in _PAUSES_S if method == "GET" else ():
            if not response.is_server_error:
                break
            # busy for a moment: an SQLite that is locked, a proxy whose server just starts
            time.sleep(pause_s)
            response = self.plain(method, url, **options)
        self._check(response)
        return response

    def plain(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Make a call, whatever Label Studio answers; a token that it refuses is renewed once.

        Raises:
            LabelStudioError: Label Studio is out of reach, or refuses the personal access token.
        """
        if self._host.refusal:
            raise LabelStudioError(self._host.refusal)
        try:
            return super().request(method, url, **options)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise LabelStudioUnavailableError(
                f"{self._call(method, url)} failed: {reason}"
            ) from None

    def json_of(self, response: httpx.Response) -> Any:
        """Return the JSON of an answer; None for an empty one.

        Raises:
            LabelStudioError: It holds no JSON.
        """
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            told = self._call_of(response)
            raise LabelStudioError(f"{told} answers no JSON: is this a Label Studio?") from None

    def _call(self, method: str, url: str) -> str:
        path = url.partition("?")[0].removeprefix(self._host.url)
        return f"{method} {path} at {self._host.url}"

    def _call_of(self, response: httpx.Response) -> str:
        return self._call(response.request.method, str(response.request.url))

    def _check(self, response: httpx.Response) -> None:
        call, status = self._call_of(response), response.status_code
        if response.is_redirect:
            raise LabelStudioError(
                f"{call} answers {status}, a redirect to {_target(response)}: use that address"
            )
        if response.is_error:
            told = f"{call} answers {status}: {_words(response)}"
            if status == 429 or response.is_server_error:
                raise LabelStudioUnavailableError(told, _retry_after_s(response), status)
            raise LabelStudioError(told, status)


def refusal(response: httpx.Response) -> str:
    """What an error answer says, in one short line without tokens."""
    try:
        body = response.json()
        text = str(body.get("detail") or body) if isinstance(body, dict) else str(body)
    except ValueError:
        text = response.text
    text = " ".join(_SECRET.sub("…", text).split())
    return text if len(text) <= _MAX_REASON else text[: _MAX_REASON - 1] + "…"


def _target(response: httpx.Response) -> str:
    """Where a redirect leads, if that is the same machine: else it is nobody's business."""
    try:
        target = response.url.join(response.headers.get("location", ""))
    except (httpx.InvalidURL, ValueError):
        return "nowhere"
    return readable(str(target)) if target.host == response.url.host else "another machine"


def _words(response: httpx.Response) -> str:
    """What Label Studio says in an error; nothing of an answer that is not of its form.

    The address may have been named by a stranger, and the text ends on the page `/status`.
    """
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("detail"), str):
        return refusal(response)
    return f"not as Label Studio does ({len(response.content)} bytes)"


def _retry_after_s(response: httpx.Response) -> float | None:
    """The header's seconds; its other form, a date, is as good as none."""
    told = response.headers.get("retry-after", "")
    return float(told) if told.isdecimal() else None
