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
.facts th{width:11rem}
.pill{padding:.1rem .6rem;border-radius:1rem;color:#fff;font-size:.85rem;vertical-align:middle}
.error{color:var(--bad)}.warning,.stopping{color:var(--warn)}td .failed{color:var(--bad)}
td .done{color:var(--good)}.pill.ready{background:var(--good)}.pill.loading{background:var(--warn)}
.pill.failed{background:var(--bad)}
.note{background:var(--soft);padding:.6rem .9rem;border-radius:.4rem}
time{font-variant-numeric:tabular-nums}time,td span{white-space:nowrap}
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
        f"<h2>Champions</h2>{_champions(report['champions'])}"
        f"<h2>Jobs</h2>{_jobs(report['jobs'], report['jobs_failure'])}"
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
    return f'<table class="facts">{rows}</table>'


def _projects(projects: dict[str, list[str]]) -> str:
    if not projects:
        return "<p>No Label Studio project has called /setup yet.</p>"
    rows = [[f"<b>{escape(uid)}</b>", escape(", ".join(urls))] for uid, urls in projects.items()]
    return _table(["project", "Label Studio"], rows)


def _champions(changes: list[dict[str, str]]) -> str:
    if not changes:
        return "<p>Nobody was promoted yet: the best checkpoint of the store is served.</p>"
    return _table(
        ["time (UTC)", "what", "version", "by", "reason"],
        [
            [
                _time(one["at"]),
                *(escape(one[name]) for name in ("action", "version", "by", "reason")),
            ]
            for one in changes
        ],
    )


def _jobs(jobs: list[dict[str, str]], failure: str) -> str:
    if failure:
        return f'<p class="error">{escape(failure)}</p>'
    if not jobs:
        return "<p>None yet.</p>"
    return _table(
        ["job", "what", "project", "state", "progress or result", "since (UTC)"],
        [
            [
                escape(job["id"]),
                f"<span>{escape(job['kind'])}</span>",
                escape(job["project"]),
                f'<span class="{escape(job["state"])}">{escape(job["state"])}</span>',
                escape(job["progress"]),
                _time(job["at"]),
            ]
            for job in jobs
        ],
    )


def _journal(entries: list[dict[str, str]]) -> str:
    if not entries:
        return "<p>Nothing.</p>"
    rows = [
        [
            _time(entry["at"]),
            f'<span class="{escape(entry["level"])}">{escape(entry["level"])}</span>',
            escape(entry["subject"]),
            escape(entry["reason"]),
        ]
        for entry in entries
    ]
    return _table(["time (UTC)", "", "what", "reason"], rows)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """A table; the cells are HTML already."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _time(moment: str) -> str:
    return f"<time>{escape(moment)}</time>"
