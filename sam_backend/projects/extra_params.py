"""The `extra_params` of a backend's connection: what a project says about model and prefilling."""

import json
from dataclasses import dataclass, field
from typing import Any, Self

from sam_backend.errors import InvalidInputError, suggestion

_LONGEST = 16_000  # what anybody says by /setup is kept, and settings are a few hundred letters
_LONGEST_NAME = 64
_KEYS = ("model", "prefill")


@dataclass(frozen=True, slots=True)
class ExtraParams:
    """What `extra_params` say.

    Attributes:
        prefill: Prefill settings of the project.
        model: Version or family of the model store that answers this project; empty: the default.
    """

    prefill: dict[str, Any] = field(default_factory=dict)
    model: str = ""

    @classmethod
    def parse(cls, told: object) -> Self:
        """Read them as Label Studio sends them: an object, its JSON text, or nothing.

        Raises:
            InvalidInputError: They are no object, have an unknown name, or a value of a wrong kind
                or far too long.
        """
        if isinstance(told, str):
            try:
                told = json.loads(told) if told.strip() else {}
            except (ValueError, RecursionError) as error:
                reason = f"the backend's extra_params are no JSON: {error}"
                raise InvalidInputError(reason) from None
        if told is None:
            return cls()
        prefill = told.get("prefill", {}) if isinstance(told, dict) else told
        if not isinstance(told, dict) or not isinstance(prefill, dict):
            raise InvalidInputError(
                'the backend\'s extra_params must be {"prefill": {…}}, not '
                f"{type(told).__name__} with {type(prefill).__name__}"
            )
        if (n_letters := len(json.dumps(prefill))) > _LONGEST:
            raise InvalidInputError(
                f"the backend's extra_params have {n_letters} letters about prefilling; at most "
                f"{_LONGEST} are kept"
            )
        if unknown := sorted(map(str, told.keys() - set(_KEYS))):
            raise InvalidInputError(
                'the backend\'s extra_params must be {"model": "…", "prefill": {…}}, and have '
                + ", ".join(f"{name!r}{suggestion(name, _KEYS)}" for name in unknown)
            )
        model = told.get("model") or ""
        if not isinstance(model, str) or len(model) > _LONGEST_NAME:
            raise InvalidInputError(
                "the backend's extra_params must name a model as a version or a family of "
                f"`sam-backend models list`, not {model!r:.80}"
            )
        return cls(prefill, model.strip())
