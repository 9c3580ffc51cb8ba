"""The status report as a page that a person can read: one file, no script, no assets."""

from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--bad:#d33;--warn:#c80;--good:#2a2}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin:2rem 0 .4rem}
table{border-collapse:collapse;width:100%}
td,th{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;
overflow-wrap:anywhere}
th{font-weight:600;white-space:nowrap}
tbody th:first-child{width:11rem}
.pill{padding:.1rem .6rem;border-radius:1rem;color:#fff;font-size:.85rem;vertical-align:middle}
.ready{background:var(--good)}.loading{background:var(--warn)}.failed{background:var(--bad)}
.error{color:var(--bad)}.warning{color:var(--warn)}
.note{background:var(--soft);padding:.6rem .9rem;border-radius:.4rem}
time{font-variant-numeric:tabular-nums;white-space:nowrap}
"""


def render_status(report: dict[str, Any]) -> str:
    """Render the report of `Service.status` as HTML; every value is escaped."""
    model = report["model"]
    note = f'<p class="note">{escape(model["note"])}</p>' if model.get("note") else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta http-equiv="refresh" content="5"><title>sam_backend status</title>'
        f"<style>{_STYLE}</style></head><body>"
        f'<h1>sam_backend <span class="pill {escape(model["state"])}">'
        f"{escape(model['state'])}</span></h1>{note}"
        f"<h2>What went wrong lately</h2>{_journal(report['journal'])}"
        f"<h2>Model</h2>{_facts(model)}"
        f"<h2>Work</h2>{_facts(report['work'])}"
        f"<h2>Embeddings</h2>{_facts(report['embeddings'])}"
        f"<h2>Projects</h2>{_projects(report['projects'])}"
        "</body></html>"
    )


def _facts(facts: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in facts.items()
        if name != "note"
    )
    return f"<table>{rows}</table>"


def _projects(projects: dict[str, list[str]]) -> str:
    if not projects:
        return "<p>No Label Studio project has called /setup yet.</p>"
    rows = "".join(
        f"<tr><th>{escape(project)}</th><td>{escape(', '.join(urls))}</td></tr>"
        for project, urls in projects.items()
    )
    return f"<table><tr><th>project</th><th>Label Studio</th></tr>{rows}</table>"


def _journal(entries: list[dict[str, str]]) -> str:
    if not entries:
        return "<p>Nothing.</p>"
    rows = "".join(
        f"<tr><td><time>{escape(entry['at'])}</time></td>"
        f'<td class="{escape(entry["level"])}">{escape(entry["level"])}</td>'
        f"<td>{escape(entry['subject'])}</td><td>{escape(entry['reason'])}</td></tr>"
        for entry in entries
    )
    return (
        "<table><tr><th>time (UTC)</th><th></th><th>what</th><th>reason</th></tr>"
        + rows
        + "</table>"
    )
