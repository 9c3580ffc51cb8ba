"""For `label-studio-ml init my_backend --script examples/label_studio_ml/model.py`."""

from sam_backend.server.label_studio_ml import SamModel

__all__ = ["SamModel"]
