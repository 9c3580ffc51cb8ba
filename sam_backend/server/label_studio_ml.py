"""The same service under PyPI's `label-studio-ml` server, for those who run that one already.

    pip install '.[label-studio-ml]'
    label-studio-ml init my_backend --script examples/label_studio_ml/model.py
    label-studio-ml start my_backend -p 9090

Prefer `sam-backend serve`: PyPI's newest `label-studio-ml` is 1.0.9 of 2023. It pins Flask 1.1.2
and Werkzeug 2.0.2, which have known holes, so give it an environment of its own (the pins do go
together with ours) and no open network. What it does by itself and we cannot change from here:

- /setup is answered with model version "INITIAL", our own stands in each prediction;
- GET /versions answers 405, there is no /ready, no /status, no basic auth and no body limit;
- each event of the webhook starts a Python process that ends without doing anything: delete the
  webhook under Settings > Webhooks.
"""

import functools
import logging
from typing import Any

import flask
from label_studio_ml.model import LabelStudioMLBase

from sam_backend.errors import SamBackendError
from sam_backend.server.protocol import PredictRequest, SetupRequest, parse
from sam_backend.server.service import Service
from sam_backend.settings import Settings

log = logging.getLogger(__name__)


@functools.cache
def service() -> Service:
    """The one service of this process: 1.0.9 makes a new model object for each /setup."""
    return Service.start(Settings())


class SamModel(LabelStudioMLBase):  # type: ignore[misc]  # untyped package
    """Hands /setup and /predict to the service as they came.

    1.0.9 keeps one model object for all projects, that of the last /setup, and tells `predict`
    neither the project nor its configuration; so the request itself is read.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if flask.has_request_context() and flask.request.path == "/setup":
            service().setup(parse(SetupRequest, flask.request.get_data()))

    def predict(self, tasks: list[dict[str, Any]], **kwargs: Any) -> list[Any]:
        """One prediction for prompts; none, and a reason in the log, when that fails."""
        try:
            request = parse(PredictRequest, flask.request.get_data())
            return list(service().predict(request).content["results"])
        except SamBackendError as error:
            service().journal.error("/predict", str(error))
            return []

    def process_event(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: training is not started by single events."""
