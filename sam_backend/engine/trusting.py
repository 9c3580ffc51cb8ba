"""How far the model that is served may be trusted, as it was established last."""

from sam_backend.quality.trust import Trust
from sam_backend.store.database import Database
from sam_backend.store.trusts import Trusts


def trust_of(database: Database, model_version: str) -> Trust | None:
    """What is known of a model version; None: nothing."""
    told = Trusts(database).newest(model_version)
    return None if told is None else Trust.of(told)
