"""The status report as a page that a person can read: one file, no script, no assets."""

from sam_backend.json_form import as_json
from sam_backend.metrics.pages import render
from sam_backend.server.status import Status


def render_status(report: Status) -> str:
    """Render the status as HTML."""
    return render(__package__, "pages/status.html", report=as_json(report))
