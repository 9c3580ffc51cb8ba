"""Where prefilled masks come from. A new proposer is one file here and one line below."""

from collections.abc import Mapping
from typing import Any

from sam_backend.errors import InvalidInputError, suggestion
from sam_backend.semi_automatic.proposers.base import Place, Proposer, Subject
from sam_backend.semi_automatic.proposers.detector import Detector
from sam_backend.semi_automatic.proposers.existing import Existing
from sam_backend.semi_automatic.proposers.grid import Grid
from sam_backend.semi_automatic.proposers.similar import Similar

__all__ = ["PROPOSERS", "Place", "Proposer", "Subject", "proposer_named"]

PROPOSERS: Mapping[str, type[Proposer]] = {
    kind.name: kind for kind in (Grid, Detector, Existing, Similar)
}


def proposer_named(name: str, parameters: Mapping[str, Any], place: Place) -> Proposer:
    """A proposer with the parameters that a project has set.

    Raises:
        InvalidInputError: The name or a parameter is unknown or wrong.
    """
    kind = PROPOSERS.get(name)
    if kind is None:
        raise InvalidInputError(
            f"no proposer is named {name!r}{suggestion(str(name), PROPOSERS)}; "
            f"known: {', '.join(PROPOSERS)}"
        )
    return kind.of(parameters, place)
