"""What the processes do that write one log of revisions; what they import takes seconds."""

import os
import time
from pathlib import Path

from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.projects.project import Project
from sam_backend.server.journal import utc_now
from sam_backend.server.protocol import WebhookRequest, parse
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.revisions import WEBHOOK, Revisions
from sam_backend.store.versions import Circumstances
from sam_backend.versions.reading import read_project
from tests.labelstudio.played_project import PROJECT, TOKEN


def tell_events(settings: Settings, host: str, bodies: str, answered: str, end: str) -> None:
    """Notes webhooks' bodies, lines of a file that grows, as a server does, until there is `end`.

    Each one is written down after it was noted, so one at which we were killed is told again.
    """
    notes = Path(answered)
    done = notes.read_bytes().count(b"\n") if notes.exists() else 0
    database = open_database(settings)
    with notes.open("ab", buffering=0) as file:
        while True:
            is_last = Path(end).exists()
            lines = Path(bodies).read_bytes().splitlines(keepends=True)[done:]
            whole = [line for line in lines if line.endswith(b"\n")]
            for body in whole:
                message = parse(WebhookRequest, body)
                told = message.observations(message.event().key)
                Revisions(database, host, PROJECT).add(told, WEBHOOK, utc_now())
                file.write(b"noted\n")
            done += len(whole)
            if is_last and not whole:
                return
            time.sleep(0.01)


def read_and_commit(settings: Settings, host: str, end: str) -> None:
    """Makes versions and reads the project until there is a file `end`, and once more then.

    What webhooks tell is in a version once a reading has told it, too.
    """
    database = open_database(settings)

    def commit() -> None:
        project.versions.commit(Circumstances(f"by {os.getpid()}", "<View/>"), utc_now())

    with Project(settings, database, LabelStudioHost(host, TOKEN), PROJECT) as project:
        is_last = False
        while not is_last:
            is_last = Path(end).exists()
            commit()
            read_project(project)
            commit()
