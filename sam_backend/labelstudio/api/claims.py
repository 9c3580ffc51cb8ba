"""What a /setup says of a project's Label Studio, and whether it is believed.

Whoever reaches this backend's port can send a /setup. So what it says is a claim:

* A Label Studio at a public address may be named by anybody, and is fetched from as long as its
  address stays public; so may one that the settings allow, wherever it is.
* One at any other address (this machine, a local network) is fetched from only if whoever sent the
  claim is no stranger from outside either, and the address proves to be the Label Studio that has
  the project: its API gives the project, with the same moment of its making, for the claim's token.
* A project that is known stays with its Label Studio. Another address takes its place if it comes
  with the same token, which no stranger knows; another token only with that proof. Another server
  with another token could prove anything: it takes the place of one that does not prove itself any
  more, and only if the settings allow it, for a server that restarts proves nothing either.
* The model that a /setup names for its project is part of the claim: it counts as long as the claim
  is the accepted one, and changes with a /setup of the same address and token only. Where the
  settings say address and token, a claim with another token changes it if that token proves good.
"""

import ipaddress
import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal

from pydantic import BaseModel

from sam_backend.errors import ImageFetchError
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.timestamps import moment
from sam_backend.labelstudio.images.addresses import is_public, resolve
from sam_backend.labelstudio.images.fetching import Fetcher, FetchLimits

_PROOF_S = 5.0
_PROOF_BYTES = 16 * 1024 * 1024  # a project's record holds its label config


class Claim(BaseModel):
    """What one /setup said.

    Attributes:
        url: Address of the Label Studio, without a slash at its end.
        token: Access token for its API; empty without.
        caller: Network address of whoever said so; empty if unknown.
        state: "new" until it is decided about (`ClaimJudge.decide`).
        reason: Why it was refused, with the remedy; empty if it was not.
        is_public: It was accepted because the address is a public one, and so has to stay one.
        model: The model that it names for the project; empty: none.
    """

    url: str
    token: str
    caller: str = ""
    state: Literal["new", "accepted", "refused"] = "new"
    reason: str = ""
    is_public: bool = False
    model: str = ""


class ClaimJudge:
    """Decides which claims are believed.

    Args:
        url: Overrides every hostname that Label Studio sends: one server for all projects.
        token: Overrides every access token that Label Studio sends.
        allowed: Host names or addresses, with or without a port, `*` for anything, of Label Studios
            that may be named by /setup wherever they are.
    """

    def __init__(self, url: str | None, token: str | None, allowed: Sequence[str]) -> None:
        self._url = url
        self._token = token
        self._allowed = tuple(pattern.lower() for pattern in allowed)

    def allows(self, host: LabelStudioHost) -> bool:
        """Whether the settings say that this Label Studio may be named by /setup."""
        name, port = host.origin.host.lower(), host.origin.port
        return any(
            fnmatchcase(told, pattern)
            for pattern in self._allowed
            for told in (name, f"{name}:{port}")
        )

    def decide(self, project: str, claim: Claim, current: Claim | None) -> Claim:
        """A new claim, accepted or refused with the reason; asks Label Studio where it must.

        Args:
            project: As /setup names it.
            claim: What is decided about.
            current: The claim to the project that is accepted so far; None: none is.
        """
        host = LabelStudioHost(self._url or claim.url, claim.token)
        is_known = current is None or current.url == claim.url or current.token == claim.token
        if self._url is not None and self._token is not None and is_known:
            # the settings say all but the model; the claim's address only tells what people use
            model = claim.model
            is_strange = current is not None and current.token != claim.token
            if current is not None and is_strange and _proof(host, project):
                model = current.model
            return claim.model_copy(update={"state": "accepted", "model": model})
        reason, is_public = "", False
        if self._url is None:
            reason, is_public = self._guard(project, host, claim.caller)
        if not reason:
            reason = self._refusal(project, host, claim, current)
        if reason:
            return claim.model_copy(update={"state": "refused", "reason": reason})
        return claim.model_copy(update={"state": "accepted", "is_public": is_public})

    def _refusal(
        self, project: str, host: LabelStudioHost, claim: Claim, current: Claim | None
    ) -> str:
        """Why a claim from where we may fetch is not accepted; empty if it is."""
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
        gone = _proof(LabelStudioHost(current.url, current.token), project)
        if not gone:
            return (
                f"project {project} is of {current.url}, and {claim.url} has one of the same name: "
                "run one backend for each, with LABEL_STUDIO_URL set"
            )
        if self.allows(host):
            return ""  # the server moved
        return (
            f"project {project} is of {current.url}, which {gone}; if it moved to {claim.url}, set "
            f"LABEL_STUDIO_URL, or SAM_BACKEND_LABEL_STUDIO_HOSTS={host.origin.host}"
        )

    def _guard(self, project: str, host: LabelStudioHost, caller: str) -> tuple[str, bool]:
        """Whether something is fetched from an address that /setup has named.

        Returns:
            Why not, empty if it may be; and whether it may because the address is a public one.
        """
        if self.allows(host):
            return "", False
        name, port = host.origin.host, host.origin.port
        try:
            addresses = resolve(name, port, _PROOF_S)
        except OSError:
            addresses = []
        private = [str(address) for address in addresses if not is_public(address)]
        if addresses and not private:
            return "", True
        place = f"is at {private[0]}, no public address," if private else "has no address here"
        fix = (
            f"set LABEL_STUDIO_URL (with LABEL_STUDIO_API_KEY), or "
            f"SAM_BACKEND_LABEL_STUDIO_HOSTS={name} if /setup may name it"
        )
        if not private:
            return f"{host.url} {place}: {fix}", False
        if _is_public_text(caller):
            return f"{host.url} {place} and was named from outside, by {caller}: {fix}", False
        flaw = _proof(host, project)
        return (f"{host.url} {place} and {flaw}: {fix}" if flaw else ""), False


@cache
def _fetcher() -> Fetcher:
    """Asks for proofs; whoever is asked is a stranger, and may answer slowly and without end."""
    return Fetcher(FetchLimits(_PROOF_BYTES, _PROOF_S, max_redirects=0))


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
    address = host.absolute(f"/api/projects/{number}/")
    header = f"Token {host.token}" if host.token else None  # a legacy one: /setup has no other
    try:
        told = json.loads(_fetcher().get(address, host.origin, lambda: header))
    except ImageFetchError as error:
        if error.status is None:
            return "does not answer as a Label Studio"
        if error.status == 401:
            return "does not accept the token that came with it (legacy tokens are off by default)"
        told = None
    except (ValueError, RecursionError):
        told = None
    stamp = moment(told.get("created_at")) if isinstance(told, dict) else None
    if stamp is None or int(stamp.timestamp()) != int(made):
        return f"is not the Label Studio that has project {number}"
    return ""
