"""The demo's offer of a better model than the starter, where it can be downloaded."""

import sys

import click
import httpx
from rich.console import Console

from sam_backend.cli.models import pull_with_progress
from sam_backend.errors import ModelStoreError
from sam_backend.store.models import ModelStore
from sam_backend.store.public_checkpoints import PUBLIC_CHECKPOINTS, PublicCheckpoint

VIT_B = PUBLIC_CHECKPOINTS["vit_b"]

HOW_TO_GET_VIT_B = "Meta's ViT-B makes better masks: sam-backend models pull vit_b, 375 MB"
"""For those who were not asked, or said no."""

_REACHABLE_S = 3.0


def has_better(store: ModelStore, offered: PublicCheckpoint = VIT_B) -> bool:
    """True if the store holds what `offer_better` offers."""
    return any(entry.version == offered.version for entry in store.list())


def offer_better(store: ModelStore, console: Console, offered: PublicCheckpoint = VIT_B) -> None:
    """Ask whether a better model than the starter shall be downloaded, and do so.

    Nobody is asked where nobody can answer (stdin is no terminal) or where it cannot be downloaded.
    A download that fails says why, and the starter goes on.

    Args:
        store: Gets the model, and serves it from then on.
        console: For people.
        offered: One of the checkpoints that the store knows to pull.
    """
    if has_better(store, offered) or not sys.stdin.isatty() or not _is_reachable(offered.url):
        return
    console.print(
        f"The small starter will answer. Meta's {offered.title} makes better masks "
        f"({offered.n_bytes / 1e6:.0f} MB, {offered.licence})."
    )
    try:
        if click.confirm("Download it now?", default=False, err=True):
            pull_with_progress(store, offered.name)
    except click.Abort:
        console.print()  # the end of the input is a no
    except ModelStoreError as error:
        console.print(f"The starter goes on: {error}", markup=False)


def _is_reachable(url: str) -> bool:
    try:
        with httpx.stream("GET", url, timeout=_REACHABLE_S, follow_redirects=True) as answer:
            return answer.is_success
    except httpx.HTTPError:
        return False
