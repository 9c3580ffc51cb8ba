"""The status report as a page that a person can read: one file, no script, no assets."""

from typing import Any

from sam_backend.metrics.pages import render


def render_status(report: dict[str, Any]) -> str:
    """Render the report of `Service.status` as HTML."""
    return render(__package__, "pages/status.html", report=report)
