"""Which tasks of a project show a trusted image, of which only we know."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sam_backend.projects.project import Project

_TOKEN = re.compile(r"[0-9a-f]{32}")  # of a copy, in its file's name


def gold_tasks(project: Project, listing: Sequence[Mapping[str, Any]]) -> dict[int, frozenset[str]]:
    """Tasks by number, each with those who have made its truth: it cannot test them.

    Args:
        project: The project.
        listing: Its tasks.
    """
    copies = {copy.token: copy.image for copy in project.gold.copies(project.origin, project.id)}
    if not copies:
        return {}
    makers = {image.digest: image.makers for image in project.gold.images()}
    return {
        int(task["id"]): makers.get(copies[token], frozenset())
        for task in listing
        for value in (task.get("data") or {}).values()
        for token in copies.keys() & set(_TOKEN.findall(str(value)))
    }
