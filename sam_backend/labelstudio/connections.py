"""Which Label Studio a project belongs to: learnt from /setup, kept across restarts and processes.

/predict names a project (`"<id>.<created>"`) but not the server it comes from, and after a restart
of this backend an open page goes on clicking without a new /setup. So what /setup said is kept in
a file that only the owner may read (it holds access tokens) and that all server processes share.

Whoever reaches this backend's port can send a /setup. So what it says is a claim:

* A Label Studio at a public address may be named by anybody, and one that the settings allow.
* One at any other address (this machine, a local network) is fetched from only if whoever sent the
  claim is no stranger from outside either, and the address proves to be the Label Studio that has
  the project: its API gives the project, with the same moment of its making, for the claim's token.
* A project that is known stays with its Label Studio. Another address takes its place if it comes
  with the same token, which no stranger knows; another token only with that proof, and another
  server only if the one before does not prove itself any more.
"""

import contextlib
import fcntl
import ipaddress
import json
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, TypeAdapter, field_validator

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.addresses import is_public, resolve
from sam_backend.labelstudio.client import LabelStudioClient
from sam_backend.labelstudio.hosts import LabelStudioHost
from sam_backend.labelstudio.moments import moment
from sam_backend.settings import Settings

log = logging.getLogger(__name__)

_PROOF_S = 5.0
_MOST_CLAIMS = 4  # of one project: anybody may send some


class _Claim(BaseModel):
    """What one /setup said.

    Attributes:
        url: Of the Label Studio.
        token: For its API.
        caller: Network address of whoever said so; empty if unknown.
        state: "new" until it is settled.
        reason: Why it was refused.
    """

    url: str
    token: str
    caller: str = ""
    state: Literal["new", "accepted", "refused"] = "new"
    reason: str = ""


class _Project(BaseModel):
    """The claims to one project, oldest first; at most one of them is accepted."""

    claims: list[_Claim]

    @field_validator("claims", mode="before")
    @classmethod
    def _of_earlier_releases(cls, told: Any) -> Any:
        """They kept tokens by address."""
        if isinstance(told, dict):
            return [{"url": url, "token": token} for url, token in told.items()]
        return told


_Table = dict[str, list[_Claim]]
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
        self._allowed = tuple(pattern.lower() for pattern in allowed)
        self._lock = threading.Lock()
        self._settling = threading.Lock()
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

    def remember(self, project: str, url: str, token: str, caller: str = "") -> None:
        """Keep what /setup said, to be settled; an unchanged connection writes nothing.

        Args:
            project: As /setup names it.
            url: Of the Label Studio.
            token: For its API.
            caller: Network address of whoever said so; empty if unknown.

        Raises:
            LabelStudioError: `url` is no http(s) address.
            OSError: It cannot be written; it is known until this process ends.
        """
        host = LabelStudioHost(url, token)
        claim = _Claim(url=host.url, token=token, caller=caller)
        with self._lock:
            known = self._read().get(project, [])
            if any(_same(one, claim) and one.state != "refused" for one in known):
                return
            if not any(one.state == "accepted" for one in known) and self._is_allowed(host):
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
        with self._settling:
            with self._lock:
                claims = list(self._read().get(project, []))
            current = next((one for one in claims if one.state == "accepted"), None)
            settled: list[_Claim] = []
            for claim in claims:
                if claim.state != "new":
                    continue
                reason = self._refusal(project, claim, current)
                state: Literal["accepted", "refused"] = "refused" if reason else "accepted"
                done = claim.model_copy(update={"state": state, "reason": reason})
                settled.append(done)
                current = current if reason else done
            if not settled:
                return []
            with self._lock, contextlib.suppress(OSError), self._exclusive():
                self._read()
                for done in settled:
                    self._add(project, done)
                self._write()
            return [done.reason for done in settled if done.reason]

    def host(self, project: str) -> LabelStudioHost:
        """The Label Studio of a project; asks it for a proof where a new claim needs one.

        Raises:
            LabelStudioError: The project never called /setup.
        """
        claim = self._claim(project)
        if self._url is not None:
            public_url, token = ("", "") if claim is None else (claim.url, claim.token)
            return LabelStudioHost(self._url, self._token or token, public_url)
        if claim is None:
            raise LabelStudioError(
                f"project {project!r} is unknown: open the project's model page in Label Studio "
                "(it sends /setup) or set LABEL_STUDIO_URL"
            )
        return LabelStudioHost(claim.url, self._token or claim.token, refusal=claim.reason)

    def host_of_number(self, number: int) -> LabelStudioHost:
        """The Label Studio of a project that is known by its number only.

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
            host = self.host(known[-1] if known else str(number))
            if not host.token:
                raise LabelStudioError(
                    f"no token for project {number} of {self._url}: set LABEL_STUDIO_API_KEY, or "
                    "open the project's model page in Label Studio (it sends one)"
                )
            return host
        found = [self.host(project) for project in known]
        found = [host for host in found if not host.refusal] or found
        hosts = {(host.url, host.token): host for host in found}
        if not hosts:
            raise LabelStudioError(
                f"project {number} is unknown: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or "
                "connect this backend to it in Label Studio (its model page sends /setup)"
            )
        if len(hosts) > 1:
            addresses = " and ".join(sorted({url for url, _ in hosts}))
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
        """Of all projects that have called /setup."""
        numbers = (uid.partition(".")[0] for uid in self.projects())
        return sorted({int(number) for number in numbers if number.isdigit()})

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

    def _claim(self, project: str) -> _Claim | None:
        """The claim that counts: the accepted one, else the newest."""
        for may_settle in (True, False):
            with self._lock:
                claims = list(self._read().get(project, []))
            accepted = [one for one in claims if one.state == "accepted"]
            if accepted:
                return accepted[0]
            if may_settle and any(one.state == "new" for one in claims):
                self.settle(project)
        url = None if self._url is None else self._url.rstrip("/")
        named = [one for one in claims if one.url == url] or claims
        return named[-1] if named else None

    def _refusal(self, project: str, claim: _Claim, current: _Claim | None) -> str:
        """Why a claim is not accepted; empty if it is."""
        host = LabelStudioHost(self._url or claim.url, claim.token)
        is_known = current is None or current.url == claim.url or current.token == claim.token
        if self._url is not None and self._token is not None and is_known:
            return ""  # the settings say all; the claim's address only tells what people use
        reason = "" if self._url is not None else self._guard(project, host, claim.caller)
        if reason:
            return reason
        if current is None:
            if self._url is None:
                return ""
            flaw = _proof(host, project)
            return f"the token that /setup brought is no good: {host.url} {flaw}" if flaw else ""
        if claim.token and claim.token == current.token:
            return ""  # a server that moved: no stranger knows its token
        flaw = _proof(host, project)
        if flaw:
            return (
                f"project {project} is of {self._url or current.url}; another /setup is not "
                f"heeded: {host.url} {flaw}"
            )
        if self._url is not None or claim.url == current.url:
            return ""
        if _proof(LabelStudioHost(current.url, current.token), project):
            return ""  # the server moved
        return (
            f"project {project} is of {current.url}, and {claim.url} has one of the same name: run "
            "one backend for each, with LABEL_STUDIO_URL set"
        )

    def _guard(self, project: str, host: LabelStudioHost, caller: str) -> str:
        """Why nothing is fetched from an address that /setup has named; empty: it may be."""
        if self._is_allowed(host):
            return ""
        name, port = host.origin.host, host.origin.port
        try:
            addresses = resolve(name, port, _PROOF_S)
        except OSError:
            addresses = []
        private = [str(address) for address in addresses if not is_public(address)]
        if addresses and not private:
            return ""
        place = f"is at {private[0]}, no public address," if private else "has no address here"
        fix = (
            f"set LABEL_STUDIO_URL (with LABEL_STUDIO_API_KEY), or "
            f"SAM_BACKEND_LABEL_STUDIO_HOSTS={name} if /setup may name it"
        )
        if not private:
            return f"{host.url} {place}: {fix}"
        if _is_public_text(caller):
            return f"{host.url} {place} and was named from outside, by {caller}: {fix}"
        flaw = _proof(host, project)
        return f"{host.url} {place} and {flaw}: {fix}" if flaw else ""

    def _is_allowed(self, host: LabelStudioHost) -> bool:
        name, port = host.origin.host.lower(), host.origin.port
        return any(
            fnmatchcase(told, pattern)
            for pattern in self._allowed
            for told in (name, f"{name}:{port}")
        )

    def _add(self, project: str, claim: _Claim) -> None:
        """Put a claim in the place of the same one; an accepted one ends what was before."""
        claims = [one for one in self._table.get(project, []) if not _same(one, claim)]
        if claim.state == "accepted":
            claims = []
        while len(claims) >= _MOST_CLAIMS:
            claims.remove(next(one for one in claims if one.state != "accepted"))
        self._table = {**self._table, project: [*claims, claim]}

    def _write(self) -> None:
        temporary = self._file.with_suffix(f".{os.getpid()}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            table = {
                project: [claim.model_dump() for claim in claims]
                for project, claims in self._table.items()
            }
            json.dump(table, stream)
        temporary.replace(self._file)
        self._stamp = self._stamp_now()

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the file against other server processes."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _same(one: _Claim, other: _Claim) -> bool:
    return (one.url, one.token) == (other.url, other.token)


def _is_public_text(address: str) -> bool:
    """Whether a caller comes from outside; one that is not known is a program of this machine."""
    try:
        return is_public(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return False


def _proof(host: LabelStudioHost, project: str) -> str:
    """What is wrong with the proof that a Label Studio has a project; empty if nothing is.

    Nothing of what is answered is repeated.
    """
    number, _, made = project.partition(".")
    if not number.isdecimal() or not made.isdecimal():
        return f"cannot be asked about a project {project!r:.40}, which is no '<id>.<created>'"
    try:
        with LabelStudioClient(host, _PROOF_S) as client:
            response = client.call("GET", f"/api/projects/{number}/")
        if response.status_code == 401:
            return "does not accept the token that came with it (legacy tokens are off by default)"
        told = response.json() if response.status_code == 200 else None
    except LabelStudioError:
        return "does not answer as a Label Studio"
    except ValueError:
        told = None
    stamp = moment(told.get("created_at")) if isinstance(told, dict) else None
    if stamp is None or int(stamp.timestamp()) != int(made):
        return f"is not the Label Studio that has project {number}"
    return ""
