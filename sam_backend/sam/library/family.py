"""A family whose network the transformers library has, as the registry knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sam_backend.errors import ModelStoreError
from sam_backend.sam.family import Config, Family, ReadNetwork, differences, summary, with_weights

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sam_backend.sam.library.model import LibraryModel
    from sam_backend.sam.precision import Precision
    from sam_backend.sam.promptable import PromptableModel

# Saved once, for both are the same tensor.
_TWINS = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)


@dataclass(frozen=True, slots=True)
class LibraryFamily(Family):
    """A family of the library; needs the extra `transformers`.

    Attributes:
        adapter: Gives the family's subclass of `LibraryModel`; called when one is needed.
    """

    extra: ClassVar[str | None] = "transformers"

    adapter: Callable[[], type[LibraryModel]]

    def build(self) -> nn.Module:
        """The network in its default configuration with fresh weights, on the CPU."""
        return self._build({})

    def owns(self, state: Mapping[str, torch.Tensor], config: Config) -> bool:
        """Whether these are this family's weights, by its own name or by the authors' ones."""
        if config:
            return config.get("model_type") in self.adapter().model_types
        return self.adapter().sign in state

    def preprocessing(self, config: Config) -> str:
        """`Resize.key` of a network of this configuration.

        Raises:
            ModelStoreError: The configuration is broken.
        """
        try:
            resize = self.adapter().resize_of(config)
        except (AttributeError, TypeError) as error:
            raise ModelStoreError(f"the config.json of a {self.name} is broken: {error}") from None
        return resize.key

    def read(self, state: Mapping[str, torch.Tensor], path: Path, config: Config) -> ReadNetwork:
        """The network with these weights, strictly, in eval mode, on the CPU.

        Args:
            state: Under the library's names, or those of the authors' own files.
            path: For messages.
            config: What `config.json` says; empty for the authors' own files.

        Raises:
            ModelStoreError: The weights are not this family's, or the library is not installed.
        """
        import torch

        adapter = self.adapter()
        is_original = adapter.sign in state
        if not config and not is_original:
            raise ModelStoreError(
                f"{path} has no {adapter.sign}, so it is no {self.title} as its authors publish "
                "it: give the whole folder, with config.json and model.safetensors"
            )
        try:
            chosen = adapter.config_of(state) if is_original else config
        except ModelStoreError as error:
            raise ModelStoreError(f"{path}: {error}") from None
        with torch.device("meta"):
            network = self._build(chosen)
        wanted = network.state_dict()
        if is_original:
            found, left = _renamed(state, {name: adapter.original_names(name) for name in wanted})
        else:
            renamed = {adapter.library_name(name): name for name in state}
            for one, other in (_TWINS, _TWINS[::-1]):
                if one in wanted and other in renamed:
                    renamed.setdefault(one, renamed[other])
            found = {name: state[renamed[name]] for name in wanted if name in renamed}
            left = set(state) - {renamed[name] for name in found}
        unknown = sorted(name for name in left if not adapter.left_out.match(name))
        shapes = {name: tuple(weight.shape) for name, weight in wanted.items()}
        faults = differences(shapes, found, unknown)
        if faults:
            raise ModelStoreError(f"{path} holds no {self.title} weights: {summary(faults)}")
        return ReadNetwork(with_weights(network, lambda: self._build(chosen), found), len(left))

    def promptable(
        self,
        network: nn.Module,
        version: str,
        sha256: str,
        precision: Precision,
        compiled: bool = False,
    ) -> PromptableModel:
        """The network ready to run; `compiled` is for SAM 1 and changes nothing here."""
        return self.adapter()(network, version, sha256, precision)

    def _build(self, config: Mapping[str, Any]) -> nn.Module:
        """The network of a configuration.

        Raises:
            ModelStoreError: The library is not installed, or the configuration is broken.
        """
        if find_spec("transformers") is None:
            raise ModelStoreError(
                f"{self.title} needs the library transformers: "
                f"pip install '.[{self.extra}]' in a clone"
            )
        adapter = self.adapter()
        try:
            types = sorted(_types(adapter.parts(config)))
            foreign = [name for name in types if not name.startswith(adapter.type_prefix)]
            if not foreign:
                return adapter.build(config)
        except Exception as error:  # the library checks values in its own ways
            raise ModelStoreError(
                f"the config.json of a {self.name} is broken: {str(error) or repr(error):.300}"
            ) from None
        raise ModelStoreError(
            f"the config.json of a {self.name} names {', '.join(foreign)}, which is no part of it"
        )


def _renamed(
    state: Mapping[str, torch.Tensor], names: Mapping[str, Sequence[str]]
) -> tuple[dict[str, torch.Tensor], set[str]]:
    """Weights under the library's names, and the names in `state` that were not used."""
    import torch

    found = {}
    for name, originals in names.items():
        parts = [state[one] for one in originals if one in state]
        if len(parts) == len(originals):
            found[name] = parts[0] if len(parts) == 1 else torch.cat(parts)
    used = {one for name in found for one in names[name]}
    return found, set(state) - used


def _types(config: Mapping[str, Any]) -> set[str]:
    """Every `model_type` that a configuration and its parts name."""
    found = {str(config["model_type"])} if config.get("model_type") else set[str]()
    for part in config.values():
        if isinstance(part, Mapping):
            found |= _types(part)
    return found
