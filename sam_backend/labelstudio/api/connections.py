"""Which Label Studio a project belongs to: learnt from /setup, kept across restarts and processes.

/predict names a project (`"<id>.<created>"`) but not the server it comes from, and after a restart
of this backend an open page goes on clicking without a new /setup. So what /setup said is kept in
a file that only the owner may read (it holds access tokens) and that all server processes share.

Whoever reaches this backend's port can send a /setup: what it says is a claim (`claims`).
"""

import contextlib
import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, TypeAdapter, field_validator

from sam_backend.errors import LabelStudioError
from sam_backend.files import lock, replacing
from sam_backend.labelstudio.api.claims import Claim, ClaimJudge
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.settings import Settings

log = logging.getLogger(__name__)

_MOST_CLAIMS = 4  # of one project: anybody may send some
_MOST_UNPROVEN = 1000  # projects without an accepted claim, likewise
_N_LOCKS = 16
_MAX_NUMBER = 2**31 - 1  # Label Studio's own column


class _Project(BaseModel):
    """The claims to one project, oldest first; at most one of them is accepted."""

    claims: list[Claim]

    @field_validator("claims", mode="before")
    @classmethod
    def _of_earlier_releases(cls, told: Any) -> Any:
        """They kept tokens by address."""
        if isinstance(told, dict):
            return [{"url": url, "token": token} for url, token in told.items()]
        return told


_Table = dict[str, list[Claim]]
_OBJECT = TypeAdapter(dict[str, Any])


class Connections:
    """The projects that called /setup and their Label Studio. Safe under threads and processes.

    Args:
        file: Where connections are kept, mode 0600.
        url: Overrides every hostname that Label Studio sends: one server for all projects.
        token: Overrides every access token that Label Studio sends.
        allowed: Host names or addresses, with or without a port, `*` for anything, of Label Studios
            that may be named by /setup wherever they are.
    """

    def __init__(
        self,
        file: Path,
        url: str | None = None,
        token: str | None = None,
        allowed: Sequence[str] = (),
    ) -> None:
        self._file = file
        self._url = url
        self._token = token
        self._judge = ClaimJudge(url, token, allowed)
        self._lock = threading.Lock()
        # by project: one whose server is slow to answer must not keep the others waiting
        self._settling = tuple(threading.Lock() for _ in range(_N_LOCKS))
        self._table: _Table = {}
        self._stamp: tuple[int, int] | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The connections that the settings' data folder keeps."""
        token = settings.label_studio_api_key
        return cls(
            settings.data_dir / "connections.json",
            settings.label_studio_url,
            None if token is None else token.get_secret_value(),
            settings.label_studio_host_patterns,
        )

    def remember(
        self, project: str, url: str, token: str, caller: str = "", model: str | None = ""
    ) -> None:
        """Keep what /setup said, to be settled; an unchanged connection writes nothing.

        Args:
            project: As /setup names it.
            url: URL of the Label Studio.
            token: For its API.
            caller: Network address of whoever said so; empty if unknown.
            model: The model that it names for the project, empty if it names none; None: what it
                says cannot be understood, and an earlier name stays.

        Raises:
            LabelStudioError: `url` is no http(s) address.
            OSError: It cannot be written; it is known until this process ends.
        """
        host = LabelStudioHost(url, token)
        claim = Claim(url=host.url, token=token, caller=caller, model=model or "")
        with self._lock:
            known = self._read().get(project, [])
            standing = (one for one in known if one.state != "refused")
            same = next((one for one in standing if _same(one, claim)), None)
            if same is not None:
                if model is None or model == same.model or not token:
                    return
                claim = same.model_copy(update={"model": model})
            elif not any(one.state == "accepted" for one in known) and self._judge.allows(host):
                claim.state = "accepted"
            self._add(project, claim)  # first, so that a full disk costs no click
            with self._exclusive():
                self._read()
                self._add(project, claim)
                self._write()

    def settle(self, project: str) -> list[str]:
        """Decide about the claims to a project that are new; asks Label Studio where it must.

        Returns:
            Why claims were refused, one sentence each.
        """
        with self._settling[hash(project) % _N_LOCKS]:
            claims = self._claims(project)
            current = _accepted(claims)
            settled: list[Claim] = []
            for claim in claims:
                if claim.state == "new":
                    done = self._judge.decide(project, claim, current)
                    settled.append(done)
                    current = done if done.state == "accepted" else current
            if settled:
                self._keep(project, settled)
            return [done.reason for done in settled if done.reason]

    def is_accepted(self, project: str) -> bool:
        """Return whether a claim to a project is accepted."""
        return _accepted(self._claims(project)) is not None

    def model_of(self, project: str) -> str:
        """Return the model that the accepted claim to a project names; empty if it names none."""
        accepted = _accepted(self._claims(project))
        return "" if accepted is None else accepted.model

    def models(self) -> dict[str, str]:
        """Return the models that accepted claims name, by project."""
        with self._lock:
            table = dict(self._read())
        accepted = {project: _accepted(claims) for project, claims in table.items()}
        return {name: one.model for name, one in accepted.items() if one is not None and one.model}

    def uid_of_number(self, number: int) -> str | None:
        """Return the name that /setup gives a project, `<id>.<created>`.

        None: no accepted /setup has named such a project, or several have: only their Label Studio
        knows which one it has.
        """
        with self._lock:
            table = self._read()
        known = [uid for uid in table if _number(uid) == number and _accepted(table[uid])]
        return known[0] if len(known) == 1 else None

    def heeds(self, project: str, url: str, token: str) -> bool:
        """Whether what such a /setup says counts: no other claim to the project is accepted."""
        accepted = _accepted(self._claims(project))
        return accepted is None or (accepted.url, accepted.token) == (
            url.strip().rstrip("/"),
            token,
        )

    def host(self, project: str, may_ask: bool = True) -> LabelStudioHost:
        """The Label Studio of a project; asks it for a proof where a new claim needs one.

        Args:
            project: As /setup names it.
            may_ask: False: answer at once; a claim that is not proven yet counts as refused.

        Raises:
            LabelStudioError: The project never called /setup.
        """
        claim = self._claim(project, may_ask)
        if self._url is not None:
            public_url, token = ("", "") if claim is None else (claim.url, claim.token)
            return LabelStudioHost(self._url, self._token or token, public_url)
        if claim is None:
            raise LabelStudioError(
                f"project {project!r} is unknown: open the project's model page in Label Studio "
                "(it sends /setup) or set LABEL_STUDIO_URL"
            )
        return LabelStudioHost(
            claim.url,
            self._token or claim.token,
            refusal=claim.reason,
            must_be_public=claim.is_public,
        )

    def host_of_number(self, number: int, may_ask: bool = True) -> LabelStudioHost:
        """The Label Studio of a project that is known by its number only.

        Args:
            number: The project's number in Label Studio.
            may_ask: False: ask no server for a proof, as in `host`.

        Raises:
            LabelStudioError: Its token or address is unknown, or two servers have such a project.
        """
        with self._lock:
            table = self._read()
            known = [uid for uid in table if uid.partition(".")[0] == str(number)]
        if self._url is not None:
            url = self._url.rstrip("/")
            here = [uid for uid in known if any(one.url == url for one in table[uid])]
            known = here or known
            # The projects of one server; a number's newest /setup comes last.
            host = self.host(known[-1] if known else str(number), may_ask)
            if not host.token:
                raise LabelStudioError(
                    f"no token for project {number} of {self._url}: set LABEL_STUDIO_API_KEY, or "
                    "open the project's model page in Label Studio (it sends one)"
                )
            return host
        found = [self.host(project, may_ask) for project in sorted(known, key=_made)]
        found = [host for host in found if not host.refusal] or found
        # one server has one such project: if it was set up anew at its address, the one made last
        hosts = {host.url: host for host in found}
        if not hosts:
            raise LabelStudioError(
                f"project {number} is unknown: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or "
                "connect this backend to it in Label Studio (its model page sends /setup)"
            )
        if len(hosts) > 1:
            addresses = " and ".join(sorted(hosts))
            raise LabelStudioError(
                f"project {number} was set up several times, at {addresses}: set LABEL_STUDIO_URL "
                "and LABEL_STUDIO_API_KEY to say which one is meant"
            )
        return next(iter(hosts.values()))

    def projects(self) -> dict[str, list[str]]:
        """Addresses by project uid, without tokens, for the status page."""
        with self._lock:
            table = dict(self._read())
        told = {}
        for project, claims in table.items():
            accepted = [one.url for one in claims if one.state == "accepted"]
            told[project] = sorted({*(accepted or (one.url for one in claims))})
        return told

    def urls_by_number(self) -> dict[int, str]:
        """Address of the Label Studio of every project that can be told by its number."""
        found = {}
        for number in self.numbers():
            with contextlib.suppress(LabelStudioError):
                found[number] = self.host_of_number(number).url
        return found

    def numbers(self) -> list[int]:
        """Numbers of all projects that have called /setup under a name that begins with one."""
        numbers = (_number(uid) for uid in self.projects())
        return sorted({number for number in numbers if number is not None})

    def _read(self) -> _Table:
        try:
            stamp = self._stamp_now()
        except OSError:  # none yet, or the folder is out of reach
            return self._table
        if stamp != self._stamp:
            try:
                told = json.loads(self._file.read_bytes())
                self._table = {
                    project: _Project.model_validate({"claims": claims}).claims
                    for project, claims in _OBJECT.validate_python(told).items()
                }
            except (OSError, ValueError):
                log.warning("%s is unreadable; it is written anew at the next /setup", self._file)
                self._table = {}
            self._stamp = stamp
        return self._table

    def _stamp_now(self) -> tuple[int, int]:
        # Each write is a new file, so the inode tells apart two writes in one tick of the clock.
        status = self._file.stat()
        return status.st_mtime_ns, status.st_ino

    def _claims(self, project: str) -> list[Claim]:
        with self._lock:
            return list(self._read().get(project, []))

    def _claim(self, project: str, may_ask: bool) -> Claim | None:
        """The claim that counts: the accepted one, else the newest, which is refused."""
        claims = self._claims(project)
        is_open = _accepted(claims) is None and any(one.state == "new" for one in claims)
        if is_open and may_ask:
            self.settle(project)
            claims = self._claims(project)
        accepted = _accepted(claims)
        if accepted is not None:
            return accepted
        url = None if self._url is None else self._url.rstrip("/")
        named = [one for one in claims if one.url == url] or claims
        if not named:
            return None
        newest = named[-1]
        if newest.state == "new":  # also if it came while the others were settled
            reason = f"{newest.url} has just been named by /setup, and has to prove itself first"
            return newest.model_copy(update={"reason": reason})
        return newest

    def _keep(self, project: str, settled: Sequence[Claim]) -> None:
        """Keep what was decided; where nothing can be written, until this process ends."""
        with self._lock:
            for done in settled:
                self._add(project, done)
            with contextlib.suppress(OSError), self._exclusive():
                self._read()
                for done in settled:
                    self._add(project, done)
                self._write()

    def _add(self, project: str, claim: Claim) -> None:
        """Put a claim in the place of the same one; an accepted one ends what was before.

        Of too many projects without an accepted claim the oldest one goes.
        """
        claims = [one for one in self._table.get(project, []) if not _same(one, claim)]
        if claim.state == "accepted":
            claims = []
        while len(claims) >= _MOST_CLAIMS:
            claims.remove(next(one for one in claims if one.state != "accepted"))
        others = self._table
        unproven = [name for name, told in others.items() if _accepted(told) is None]
        if project not in others and len(unproven) >= _MOST_UNPROVEN:
            others = {name: told for name, told in others.items() if name != unproven[0]}
        self._table = {**others, project: [*claims, claim]}

    def _write(self) -> None:
        table = {
            project: [claim.model_dump() for claim in claims]
            for project, claims in self._table.items()
        }
        with replacing(self._file, mode=0o600) as unfinished:
            unfinished.write_text(json.dumps(table))
        self._stamp = self._stamp_now()

    def _exclusive(self) -> contextlib.AbstractContextManager[object]:
        """Hold the file against other server processes."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        return lock(self._file.with_suffix(".lock"))


def _made(uid: str) -> int:
    """When a project was made, in seconds, as its name says; 0 if it does not."""
    made = uid.partition(".")[2]
    return int(made) if made.isascii() and made.isdecimal() and len(made) < 20 else 0


def _number(project: str) -> int | None:
    """Number of a project that /setup has named; None for what Label Studio calls none so."""
    text = project.partition(".")[0]
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_MAX_NUMBER))):
        return None
    return int(text) if 0 < int(text) <= _MAX_NUMBER else None


def _accepted(claims: Sequence[Claim]) -> Claim | None:
    return next((one for one in claims if one.state == "accepted"), None)


def _same(one: Claim, other: Claim) -> bool:
    return (one.url, one.token) == (other.url, other.token)
