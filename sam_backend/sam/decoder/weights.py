"""The mask decoder's weights, folded once for image tokens that are kept as factors.

`segment_anything`'s `TwoWayTransformer` updates the image tokens in every layer l:

    keys[l+1] = LayerNorm(keys[l] + P V)
    LayerNorm(x) = (x - mean(x)) / deviation(x) * gain + shift

with P the attention probabilities of the pixels over the tokens. Centring and gain are linear, so
what becomes of the image features themselves, before any layer, is one matrix for each layer
(`fold`) and one number for each pixel (1 / deviation). Every projection of the image tokens is
therefore a projection of the image features with folded weights. What is constant over the pixels
either cancels in a softmax, or is added to what the probabilities multiply: they sum to 1 a head.
"""

from dataclasses import dataclass

import torch
from torch import nn

from sam_backend.sam.reference import Attention, MaskDecoder, TwoWayAttentionBlock


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A linear map of the image tokens of one layer, split in heads.

    Attributes:
        index: Where an `ImageSide` keeps this projection of its image.
        keys: Weights for the tokens of that layer, shape (H, d, C) float32.
        features: The same for the features that they came from, shape (H, d, C).
    """

    index: int
    keys: torch.Tensor
    features: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class TokensToImage:
    """Attention of the prompt's tokens to the image; the module's k bias cancels in its softmax.

    Attributes:
        module: That was folded.
        query: (weight, bias) of the tokens' queries, with 1/sqrt(d) in it.
        key: Projection of the image's keys.
        position: The projected positional encoding, shape (H, d, N).
        value: Projection of the image's values.
        value_bias: Shape (H, d), with the last norm's shift in it.
        out: The module's output projection.
    """

    module: Attention
    query: tuple[torch.Tensor, torch.Tensor]
    key: Projection
    position: torch.Tensor
    value: Projection
    value_bias: torch.Tensor
    out: nn.Linear


@dataclass(frozen=True, slots=True, eq=False)
class ImageToTokens:
    """Attention of the image to the prompt's tokens, and the norm behind it.

    Attributes:
        module: That was folded.
        norm: Behind it, likewise.
        key: (weight, bias) of the tokens' keys, with 1/sqrt(d) in it.
        value: The module's projection of the tokens' values.
        query: Projection of the image's queries.
        position: The positional encoding as queries, with all that is constant, shape (H, d, N).
        out: Values to image tokens, shape (H, d + 1, C): the last row of a head is its share of
            what is constant over the pixels.
        gain: Gain of the norm, shape (C,).
        eps: Epsilon of the norm.
        centred: Projections that give the products of the centred image tokens with the centred
            image tokens that each layer up to this one has added: the norm's variance needs them.
    """

    module: Attention
    norm: nn.LayerNorm
    key: tuple[torch.Tensor, torch.Tensor]
    value: nn.Linear
    query: Projection
    position: torch.Tensor
    out: torch.Tensor
    gain: torch.Tensor
    eps: float
    centred: tuple[Projection, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer of the transformer: the module for what touches tokens alone, and its crossings."""

    module: TwoWayAttentionBlock
    to_image: TokensToImage
    to_tokens: ImageToTokens


@dataclass(frozen=True, slots=True, eq=False)
class DecoderWeights:
    """All layers, the last attention, and the matrices for what follows the last layer.

    Attributes:
        layers: In order.
        final: Attention of the tokens after the last layer.
        projections: Every `Projection` of the above, ordered by index.
        fold: Features to the tokens after the last layer, shape (C, C); 1 / deviation is missing.
        shift: Shift of the last layer's norm, shape (C,).
        n_heads: H.
    """

    layers: tuple[Layer, ...]
    final: TokensToImage
    projections: tuple[Projection, ...]
    fold: torch.Tensor
    shift: torch.Tensor
    n_heads: int

    @property
    def gains(self) -> tuple[torch.Tensor, ...]:
        """Of the norms behind the layers, in order."""
        return tuple(layer.to_tokens.gain for layer in self.layers)


def fold_weights(decoder: MaskDecoder, position: torch.Tensor) -> DecoderWeights:
    """Folds a decoder's weights; the module stays as it is.

    Args:
        decoder: On the device that it is to run on.
        position: The image's positional encoding (`Sam.prompt_encoder.get_dense_pe()`), shape
            (1, C, h, w).
    """
    return _Folding(decoder, position).fold()


class _Folding:
    """Folds layer by layer, in float64: matrices are multiplied up to once a layer."""

    def __init__(self, decoder: MaskDecoder, position: torch.Tensor) -> None:
        self._transformer = decoder.transformer
        self._device = position.device
        self._position = _exact(position).flatten(2)[0]
        self._heads = decoder.transformer.layers[0].self_attn.num_heads
        self._projections: list[Projection] = []
        channels = len(self._position)
        self._eye = torch.eye(channels, dtype=torch.float64)
        self._centre = self._eye - 1 / channels
        self._fold = self._eye  # features to the tokens of this layer
        self._shift = torch.zeros(channels, dtype=torch.float64)  # of the norm before this layer
        # of each earlier layer: its values to what it adds, as it is after the norms since
        self._added: list[torch.Tensor] = []

    def fold(self) -> DecoderWeights:
        layers = tuple(self._layer(module) for module in self._transformer.layers)
        return DecoderWeights(
            layers=layers,
            final=self._to_image(self._transformer.final_attn_token_to_image),
            projections=tuple(self._projections),
            fold=self._stored(self._fold),
            shift=self._stored(self._shift),
            n_heads=self._heads,
        )

    def _layer(self, module: TwoWayAttentionBlock) -> Layer:
        to_image = self._to_image(module.cross_attn_token_to_image)
        attention, norm = module.cross_attn_image_to_token, module.norm4
        query, bias = _exact(attention.q_proj.weight), _exact(attention.q_proj.bias)
        constant = (query @ self._shift + bias)[:, None]
        position = self._split(query @ self._position + constant)
        out = self._out(attention)
        self._added.append(out)
        centred = tuple(
            self._projection(rows @ self._centre, features=rows @ self._centre @ self._fold.T)
            for rows in self._added
        )
        to_tokens = ImageToTokens(
            module=attention,
            norm=norm,
            key=self._scaled(attention.k_proj, attention),
            value=attention.v_proj,
            query=self._projection(self._split(query)),
            position=self._stored(position),
            out=self._stored(out),
            gain=norm.weight,
            eps=norm.eps,
            centred=centred,
        )
        through_norm = self._centre * _exact(norm.weight)
        self._fold = self._fold @ through_norm
        self._added = [rows @ through_norm for rows in self._added]
        self._shift = _exact(norm.bias)
        return Layer(module, to_image, to_tokens)

    def _to_image(self, attention: Attention) -> TokensToImage:
        key, value = _exact(attention.k_proj.weight), _exact(attention.v_proj.weight)
        value_bias = (value @ self._shift + _exact(attention.v_proj.bias)).view(self._heads, -1)
        return TokensToImage(
            module=attention,
            query=self._scaled(attention.q_proj, attention),
            key=self._projection(self._split(key)),
            position=self._stored(self._split(key @ self._position)),
            value=self._projection(self._split(value)),
            value_bias=self._stored(value_bias),
            out=attention.out_proj,
        )

    def _out(self, attention: Attention) -> torch.Tensor:
        """Output projection by heads, (H, d + 1, C), with the norm's shift before this layer."""
        weight = self._split(_exact(attention.out_proj.weight).T)
        constant = (_exact(attention.out_proj.bias) + self._shift) / self._heads
        return torch.cat([weight, constant.expand(self._heads, 1, -1)], dim=1)

    def _scaled(self, linear: nn.Linear, attention: Attention) -> tuple[torch.Tensor, torch.Tensor]:
        scale = (attention.internal_dim // attention.num_heads) ** -0.5
        weight, bias = _exact(linear.weight) * scale, _exact(linear.bias) * scale
        return self._stored(weight), self._stored(bias)

    def _projection(self, keys: torch.Tensor, features: torch.Tensor | None = None) -> Projection:
        folded = keys @ self._fold.T if features is None else features
        projection = Projection(
            index=len(self._projections),
            keys=self._stored(keys),
            features=self._stored(folded),
        )
        self._projections.append(projection)
        return projection

    def _split(self, weight: torch.Tensor) -> torch.Tensor:
        return weight.reshape(self._heads, -1, weight.shape[1])

    def _stored(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self._device, torch.float32).contiguous()


def _exact(x: torch.Tensor) -> torch.Tensor:
    """On the CPU, where every build of torch has float64."""
    return x.detach().to("cpu", torch.float64)
