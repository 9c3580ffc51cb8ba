"""Every setting in one place, read from the environment (`SAM_BACKEND_…`) or given in code."""

from pathlib import Path
from typing import Any, Literal, Self

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "SAM_BACKEND_"
ENV_FILE = Path(".env")
"""Read from the folder that a command is started in; the environment goes before it."""

MAX_MEGAPIXELS = 178
"""The largest image that can be allowed: Pillow's own guard is at 178.9."""


class Settings(BaseSettings):
    """How this backend runs. Each field is read from `SAM_BACKEND_<NAME>`.

    `REDIS_URL`, `LABEL_STUDIO_URL` and `LABEL_STUDIO_API_KEY` are also read under these names,
    which Label Studio's own backends use.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_ignore_empty=True,  # compose files pass on what is not set as an empty text
        extra="ignore",
        populate_by_name=True,
    )

    host: str = "127.0.0.1"
    port: int = Field(9090, ge=0, le=65535)
    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("sam-backend"),
        description="Pulled checkpoints, caches and databases live here.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="Jobs and events: postgresql://user:password@host/name or sqlite:///file; "
        "`sam_backend.db` under `data_dir` without.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    model: str | None = Field(
        None,
        description="Version in the model store, pinned; or a family; the champion without.",
    )
    model_store: Path | None = Field(
        None, description="Folder of checkpoints; `model_store` under `data_dir` without."
    )
    champion_poll_s: float = Field(
        1.0, gt=0, description="Seconds between looks at the store for another champion."
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    precision: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto",
        description="What images are encoded in. auto: bfloat16 where the device has instructions "
        "for it, else float32. int8 changes masks and is never taken unasked.",
    )
    compile: bool = Field(
        False, description="Compile the model with torch.compile; kept in `data_dir`/compiled."
    )
    tune_allocator: bool = Field(True, description="Keep glibc's pages: twice the speed on CPU.")
    threads: int | None = Field(None, ge=1, description="CPU threads of the model; all without.")

    label_studio_url: str | None = Field(
        None,
        validation_alias=AliasChoices("SAM_BACKEND_LABEL_STUDIO_URL", "LABEL_STUDIO_URL"),
        description="Overrides the hostname that Label Studio sends to /setup.",
    )
    label_studio_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("SAM_BACKEND_LABEL_STUDIO_API_KEY", "LABEL_STUDIO_API_KEY"),
        description="Legacy or personal access token; overrides the one sent to /setup, and goes "
        "to LABEL_STUDIO_URL only.",
    )
    label_studio_hosts: str = Field(
        "",
        description="Host names or addresses of Label Studios that /setup may name although they "
        "are not at public addresses, and that may take a known project over from one that is "
        "gone, with commas between them; `*` stands for anything. One that proves to have the "
        "project needs no entry.",
    )
    allowed_hosts: str = Field(
        "",
        description="Names under which this backend is called, with commas between them; `*` "
        "stands for anything. Addresses, localhost and names within a network need no entry.",
    )
    basic_auth_user: str | None = None
    basic_auth_password: SecretStr | None = None

    redis_url: SecretStr | None = Field(
        None, validation_alias=AliasChoices("SAM_BACKEND_REDIS_URL", "REDIS_URL")
    )
    redis_secret: SecretStr | None = Field(
        None,
        description="Shared by the servers that share a Redis: embeddings that anybody else has "
        "put there are ignored.",
    )
    cache_memory_mb: int = Field(512, ge=0, description="0: no embeddings in memory.")
    cache_disk_mb: int = Field(0, ge=0, description="0: no embeddings on disk.")

    max_body_mb: int = Field(250, ge=1, description="Label Studio's own limit for one request.")
    max_image_mb: int = Field(100, ge=1)
    max_image_megapixels: int = Field(
        MAX_MEGAPIXELS,
        ge=1,
        le=MAX_MEGAPIXELS,
        description=f"Pillow's own guard against decompression bombs is at {MAX_MEGAPIXELS}.",
    )
    image_timeout_s: float = Field(20.0, gt=0)
    allow_private_addresses: bool = Field(
        False, description="Fetch images from private and link-local addresses too."
    )

    all_masks: bool = Field(False, description="Answer a lone click with all three masks.")
    prefetch_tasks: int = Field(0, ge=0, description="Tasks encoded ahead of the one opened.")

    prefill: dict[str, Any] = Field(
        default_factory=dict,
        description="How tasks are prefilled, as JSON: PrefillSettings by name. A project's own "
        '`extra_params` {"prefill": {…}} go before it.',
    )
    prefill_when: Literal["batch", "always", "never"] = Field(
        "batch",
        description="batch: where predictions of two tasks or more are asked for; a single task, "
        "which is mostly one that was opened, gets what is ready. always: a single one is waited "
        "for, too.",
    )
    prefill_budget_s: float = Field(
        80.0, gt=0, description="Label Studio waits 100 s; what is not ready goes on afterwards."
    )

    own_worker: bool = Field(
        True,
        description="Run queued jobs in a process of the server's own; off where "
        "`sam-backend worker` runs somewhere else on the same database.",
    )
    gold_per_hundred: float = Field(
        5.0,
        gt=0,
        le=100,
        description="Copies of gold images that `sam-backend gold plant` puts among a hundred "
        "tasks.",
    )
    retrain_every: int | None = Field(
        None, ge=1, description="Retrain a project's model after so many new human masks."
    )
    retrain_steps: int | None = Field(
        None,
        ge=1,
        description="Optimiser steps of a retraining at the most; its depth's default without.",
    )
    stages: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="What a team sets otherwise in the table of stages, as JSON by stage, such as "
        '{"1": {"retrain_every": 50, "up": {"retrainings promoted": 2}}}.',
    )
    stage_automatic: bool = Field(
        False, description="Projects that are in a stage move on and back as their gates say."
    )
    survey_s: float = Field(
        900.0,
        gt=0,
        description="Seconds between two measurements of a project in which something was labelled "
        "since, for stages, dashboard and alerts.",
    )
    reconcile_s: float = Field(
        300.0, gt=0, description="Seconds between looks for new masks that no webhook told of."
    )

    @property
    def max_image_pixels(self) -> int:
        """`max_image_megapixels` in pixels."""
        return self.max_image_megapixels * 1_000_000

    @property
    def label_studio_host_patterns(self) -> tuple[str, ...]:
        """`label_studio_hosts`, one by one."""
        return _listed(self.label_studio_hosts)

    @property
    def allowed_host_patterns(self) -> tuple[str, ...]:
        """`allowed_hosts`, one by one."""
        return _listed(self.allowed_hosts)

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        """Half of a pair would silently open a door: name the missing half instead."""
        if (self.basic_auth_user is None) != (self.basic_auth_password is None):
            raise ValueError("basic auth needs both SAM_BACKEND_BASIC_AUTH_USER and …_PASSWORD")
        if self.label_studio_api_key is not None and self.label_studio_url is None:
            # /setup is open to whoever reaches the port: the key must not go where it points.
            raise ValueError(
                "LABEL_STUDIO_API_KEY needs LABEL_STUDIO_URL, the one place it goes to"
            )
        return self


def variables_of(setting: str) -> list[str]:
    """Return the environment variables that a setting is read from, the usual one first.

    Args:
        setting: Name of a field of `Settings`.
    """
    alias = Settings.model_fields[setting].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in reversed(alias.choices)]
    return [f"{PREFIX}{setting.upper()}"]


def _listed(text: str) -> tuple[str, ...]:
    """The parts of a text with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
