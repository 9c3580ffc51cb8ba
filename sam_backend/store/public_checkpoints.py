"""The checkpoints that can be downloaded: Meta's SAM v1, and those on the Hugging Face hub.

Addresses are those of segment-anything's README ("Model Checkpoints"); sizes and sha256 are of the
files as published there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_META = "https://dl.fbaipublicfiles.com/segment_anything"
_SA_V = "SA-1B and SA-V (50,900 videos, 642,600 masklets), arXiv 2408.00714"
_SA_1B = "SA-1B (11 million images, 1.1 billion masks), arXiv 2304.02643"


@dataclass(frozen=True, slots=True)
class PublicCheckpoint:
    """One downloadable weights file.

    Attributes:
        name: What `pull` calls it.
        version: Its version in the store.
        family: Its network.
        title: For people.
        url: Where it is.
        n_bytes: Size of the file.
        sha256: SHA-256 of the file.
        parameters: Number of weights.
        licence: SPDX name.
        training_data: In words.
    """

    name: str
    version: str
    family: str
    title: str
    url: str
    n_bytes: int
    sha256: str
    parameters: int
    licence: str = "Apache-2.0"
    training_data: str = _SA_1B


@dataclass(frozen=True, slots=True)
class HubCheckpoint:
    """One repository of the Hugging Face hub with `config.json` and `model.safetensors`.

    Attributes:
        name: What `pull` calls it; also its version in the store.
        family: Its network.
        title: For people.
        repository: Owner and name on the hub.
        licence: SPDX name, or the terms in words.
        training_data: In words.
    """

    name: str
    family: str
    title: str
    repository: str
    licence: str = "Apache-2.0"
    training_data: str = _SA_V

    @property
    def version(self) -> str:
        """Its version in the store."""
        return self.name


PUBLIC_CHECKPOINTS: Mapping[str, PublicCheckpoint] = MappingProxyType(
    {
        checkpoint.name: checkpoint
        for checkpoint in (
            PublicCheckpoint(
                name="vit_b",
                version="vit_b-01ec64",
                family="vit_b",
                title="SAM ViT-B",
                url=f"{_META}/sam_vit_b_01ec64.pth",
                n_bytes=375_042_383,
                sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
                parameters=93_735_472,
            ),
            PublicCheckpoint(
                name="vit_l",
                version="vit_l-0b3195",
                family="vit_l",
                title="SAM ViT-L",
                url=f"{_META}/sam_vit_l_0b3195.pth",
                n_bytes=1_249_524_607,
                sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
                parameters=312_342_832,
            ),
            PublicCheckpoint(
                name="vit_h",
                version="vit_h-4b8939",
                family="vit_h",
                title="SAM ViT-H",
                url=f"{_META}/sam_vit_h_4b8939.pth",
                n_bytes=2_564_550_879,
                sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
                parameters=641_090_608,
            ),
        )
    }
)

_HQ_DATA = f"{_SA_1B}; HQSeg-44K, arXiv 2306.01567"
_SAM_LICENSE = "SAM License"
HUB_CHECKPOINTS: Mapping[str, HubCheckpoint] = MappingProxyType(
    {
        checkpoint.name: checkpoint
        for checkpoint in (
            *(
                HubCheckpoint(
                    name=f"sam{release}_{size.replace('-', '_')}",
                    family="sam2",
                    title=f"SAM {release} hiera {size}",
                    repository=f"facebook/sam{release}-hiera-{size}",
                )
                for release in ("2.1", "2")
                for size in ("tiny", "small", "base-plus", "large")
            ),
            *(
                HubCheckpoint(
                    name=f"sam_hq_vit_{size[0]}",
                    family="sam_hq",
                    title=f"SAM-HQ ViT-{size[0].upper()}",
                    repository=f"syscv-community/sam-hq-vit-{size}",
                    training_data=_HQ_DATA,
                )
                for size in ("base", "large", "huge")
            ),
            HubCheckpoint(
                name="sam3",
                family="sam3_tracker",
                title="SAM 3, its tracker for points and boxes",
                repository="facebook/sam3",
                licence=_SAM_LICENSE,
                training_data="SA-Co, arXiv 2511.16719",
            ),
        )
    }
)
