"""The SAM data engine as a Label Studio ML backend, and as a Python library.

```python
import sam_backend as sb

model = sb.load_model("starter")
image = sb.read_image("cup.jpg")
masks = model.predict(model.embed(image), sb.Prompt(points=[(410, 220)]))
```

The names below are loaded at their first use, so that `import sam_backend` costs nothing: torch
alone takes seconds.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sam_backend.api import (
        AutomaticSettings,
        Candidate,
        Embedding,
        Evaluation,
        ImageMasks,
        InvalidInputError,
        LabelStudioProject,
        MaskRecord,
        Model,
        Prompt,
        SamBackendError,
        evaluate,
        generate,
        generate_shards,
        load_model,
        open_project,
        read_image,
        read_shards,
    )

__version__ = "0.2.0"

__all__ = [
    "AutomaticSettings",
    "Candidate",
    "Embedding",
    "Evaluation",
    "ImageMasks",
    "InvalidInputError",
    "LabelStudioProject",
    "MaskRecord",
    "Model",
    "Prompt",
    "SamBackendError",
    "__version__",
    "evaluate",
    "generate",
    "generate_shards",
    "load_model",
    "open_project",
    "read_image",
    "read_shards",
]


def __getattr__(name: str) -> object:
    """Load a name of `__all__` at its first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sam_backend import api

    value: object = getattr(api, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what `__getattr__` gives, too: for completion in notebooks."""
    return sorted({*globals(), *__all__})
