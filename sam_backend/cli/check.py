"""`sam-backend check`: why does clicking in Label Studio bring no mask?"""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.output import AsJson, echo_json
from sam_backend.errors import InvalidInputError, LabelStudioError
from sam_backend.settings import Settings

if TYPE_CHECKING:
    from sam_backend.doctor import Finding
    from sam_backend.labelstudio.api.hosts import LabelStudioHost
    from sam_backend.serving.served_model import Checkpoint
    from sam_backend.store.project_models import ProjectModel

_SIGNS = {
    "ok": "[green]✓[/green]",
    "warn": "[yellow]![/yellow]",
    "fail": "[red]✗[/red]",
    "skipped": "[dim]-[/dim]",
}


def check(
    project: Annotated[int, typer.Option(help="Number in the address /projects/<number>/data.")],
    url: Annotated[
        str | None,
        typer.Option(
            help="Label Studio's address. If left out, LABEL_STUDIO_URL or that of the connected "
            "backend."
        ),
    ] = None,
    backend_url: Annotated[
        str, typer.Option(help="This backend's address, as Label Studio reaches it.")
    ] = "http://localhost:9090",
    token: Annotated[
        str | None,
        typer.Option(
            help="Personal or legacy access token. If left out, LABEL_STUDIO_API_KEY or the one "
            "that Label Studio gave to the connected backend."
        ),
    ] = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Connect the backend to the project if it is not.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check each step from a click to its mask, and print the fix for what fails.

    The steps are Label Studio, token, project, backend, image and one prediction. Exit code 1 if
    one fails.
    """
    from sam_backend.doctor import Backend, Checkup
    from sam_backend.labelstudio.images.resolver import image_resolver
    from sam_backend.semi_automatic.factory import describe_prefilling

    settings = Settings(label_studio_url=url) if url else Settings()
    password = settings.basic_auth_password
    user = settings.basic_auth_user
    credentials = (user, password.get_secret_value()) if user and password else None
    models = _Models(settings)
    checkup = Checkup(
        host=_host(settings, project, token),
        project_id=project,
        backend=Backend(backend_url.rstrip("/"), credentials),
        resolver=image_resolver(settings),
        max_pixels=settings.max_image_pixels,
        connect=connect,
        prefilling=lambda config, uid, extra: describe_prefilling(
            settings, models.checkpoint(uid, extra), project, config, extra
        ),
        model=models.describe,
    )
    findings: list[Finding] = []
    for finding in checkup.run():
        findings.append(finding)
        if not as_json:
            _print(finding)
    is_ok = all(finding.status != "fail" for finding in findings)
    if as_json:
        echo_json({"ok": is_ok, "findings": findings})
    if not is_ok:
        raise typer.Exit(1)


class _Models:
    """What the models of this machine's store are to a project."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings of this process."""
        from sam_backend.serving.model_choice import ModelChoice
        from sam_backend.store.models import open_store

        self._choice = ModelChoice(settings, open_store(settings))

    def own(self, uid: str | None, extra: object) -> "ProjectModel | None":
        """Return the model that a project names, None if it names none.

        Args:
            uid: The project's name in Label Studio's calls; None: unknown.
            extra: Its backend's `extra_params`.

        Raises:
            SamBackendError: The `extra_params` are malformed, or the store is damaged.
        """
        from sam_backend.projects.extra_params import ExtraParams

        return self._choice.project_model(uid or "", ExtraParams.parse(extra).model)

    def describe(self, uid: str | None, extra: object) -> str:
        """Return which model a project names; nothing if it names none. Arguments as of `own`.

        Raises:
            ModelStoreError: The model is not in the store, or the store is damaged.
        """
        try:
            own = self.own(uid, extra)
        except InvalidInputError:  # told about prefilling, which reads them too
            return ""
        if own is None:
            return ""
        return f"{own.required().version} answers, for {own.named_by} name {own.name!r}"

    def checkpoint(self, uid: str | None, extra: object) -> "Checkpoint":
        """Return what answers a project, the default if its own model is not in the store."""
        own = self.own(uid, extra)
        if own is None or own.entry is None:
            return self._choice.checkpoint()
        return self._choice.checkpoint_of(own.entry)


def _host(settings: Settings, project: int, token: str | None) -> "LabelStudioHost":
    """Return where the project is: as told, else as its connected backend was told by /setup.

    Raises:
        LabelStudioError: Nobody has told its address.
    """
    from sam_backend.labelstudio.api.connections import Connections
    from sam_backend.labelstudio.api.hosts import LabelStudioHost

    url, key = settings.label_studio_url, settings.label_studio_api_key
    try:
        known = Connections.of(settings).host_of_number(project)
    except LabelStudioError:  # not connected yet: the findings say so
        if url is None:
            raise
        known = LabelStudioHost(url, "" if key is None else key.get_secret_value())
    return known if token is None else replace(known, token=token)


def _print(finding: "Finding") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding

    console = Console(highlight=False, soft_wrap=False)
    sign = _SIGNS[finding.status]
    console.print(f"{sign} [bold]{finding.name}[/bold]  {escape(finding.seen)}", soft_wrap=True)
    if finding.fix:
        console.print(Padding(f"→ {escape(finding.fix)}", (0, 0, 0, 4)))
