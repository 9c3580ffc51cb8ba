"""Downloads checkpoints from the Hugging Face hub, through its own client.

The client goes on with cut downloads and checks what comes. It reads the environment: `HF_ENDPOINT`
(a mirror), `HF_HOME` (its cache), `HF_HUB_OFFLINE=1` (the cache alone) and `HF_TOKEN`.
"""

from importlib.util import find_spec
from pathlib import Path

from sam_backend.errors import ModelStoreError
from sam_backend.sam.checkpoint_files import CONFIG_NAME

WEIGHTS = "model.safetensors"


def download_folder(repository: str) -> Path:
    """Bring a repository's configuration and weights into the client's cache.

    Args:
        repository: Owner and name, such as `facebook/sam2.1-hiera-tiny`.

    Returns:
        The folder with `config.json` and `model.safetensors`.

    Raises:
        ModelStoreError: The client is not installed, the repository is not there, asks for
            permission, or cannot be reached; says what to do.
    """
    if find_spec("huggingface_hub") is None:
        raise ModelStoreError(
            f"{repository} comes through huggingface_hub: pip install '.[transformers]' in a clone"
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    page = f"https://huggingface.co/{repository}"
    try:
        paths = [Path(hf_hub_download(repository, name)) for name in (CONFIG_NAME, WEIGHTS)]
    except GatedRepoError:
        raise ModelStoreError(
            f"{repository} is given to those who ask: accept its terms at {page}, make a token at "
            "https://huggingface.co/settings/tokens, and set HF_TOKEN to it"
        ) from None
    except RepositoryNotFoundError:
        raise ModelStoreError(f"{page} is not there, or HF_TOKEN may not see it") from None
    except (OfflineModeIsEnabled, LocalEntryNotFoundError):
        raise ModelStoreError(
            f"{repository} is not in the cache of huggingface_hub and cannot be fetched: check the "
            "network, HF_ENDPOINT and HF_HUB_OFFLINE; or copy config.json and model.safetensors "
            f"of {page} into a folder and run `sam-backend models add FOLDER`"
        ) from None
    except Exception as error:  # the client, its HTTP library and the disk have their own kinds
        reason = type(error).__name__
        raise ModelStoreError(f"{repository} cannot be fetched ({reason}); try again") from None
    return paths[0].parent
