"""How much of a network learns."""

from enum import StrEnum


class Depth(StrEnum):
    """How much of a network learns."""

    DECODER = "decoder"
    """Prompt encoder and mask decoder; images are embedded once."""
    ADAPTER = "adapter"
    """The decoder, and low-rank changes of the image encoder."""
    FULL = "full"
    """Everything."""
