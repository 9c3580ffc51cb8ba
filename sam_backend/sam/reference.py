"""`segment_anything`'s networks, without the wait for its predictor.

The package's own `__init__` brings predictor and generator, and these bring torchvision, which
brings torch's compiler: three seconds at each start of a server, a worker or a command, for which
our code has no use. Here the package runs its `__init__` when somebody asks it for a name.
"""

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any


def patient_package(name: str) -> ModuleType:
    """A package whose modules can be imported before its `__init__` has run.

    Args:
        name: Name of an installed package. One that is imported already is returned as it is.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    if name in sys.modules:
        return sys.modules[name]
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package, loader = module_from_spec(spec), spec.loader

    def ask(attribute: str) -> Any:
        if not attribute.startswith("__") and vars(package).pop("__getattr__", None):
            loader.exec_module(package)
            return getattr(package, attribute)
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}", name=attribute)

    vars(package)["__getattr__"] = ask
    sys.modules[name] = package
    return package


if not TYPE_CHECKING:
    patient_package("segment_anything")

from segment_anything.build_sam import build_sam_vit_b, build_sam_vit_h, build_sam_vit_l  # noqa: E402
from segment_anything.modeling import (  # noqa: E402
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
    image_encoder,
)
from segment_anything.modeling.image_encoder import get_rel_pos  # noqa: E402
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock  # noqa: E402
from segment_anything.utils.amg import batched_mask_to_box  # noqa: E402

__all__ = [
    "Attention",
    "ImageEncoderViT",
    "MaskDecoder",
    "PromptEncoder",
    "Sam",
    "TwoWayAttentionBlock",
    "TwoWayTransformer",
    "batched_mask_to_box",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "get_rel_pos",
    "image_encoder",
]
