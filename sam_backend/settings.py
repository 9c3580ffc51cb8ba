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

    host: str = Field(
        "127.0.0.1", description="Address to listen on; 0.0.0.0 is every address of the machine."
    )
    port: int = Field(9090, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("sam-backend"),
        description="Folder of checkpoints, jobs, runs, caches and known Label Studios.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="Where jobs, events, edits, versions, gold and queues are kept: "
        "`postgresql://user:password@host/name` or `sqlite:///file`. If it is not set, this is "
        "`sam_backend.db` in the data folder.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG adds the tracebacks of errors."
    )

    model: str | None = Field(
        None,
        description="Version of `sam-backend models list` that is served whatever is promoted, or "
        "a family such as `vit_b`. If it is not set, the champion is served. Projects that name a "
        "model of their own are served that one.",
    )
    models_memory_mb: int = Field(
        4096,
        ge=0,
        description="Most megabytes of weights of all models in memory, where projects name models "
        "of their own; the idle one that was used least lately goes. The default model always "
        "stays.",
    )
    model_store: Path | None = Field(
        None,
        description="Folder of checkpoints. If it is not set, this is `model_store` in the data "
        "folder.",
    )
    champion_poll_s: float = Field(
        1.0, gt=0, description="Seconds until a server notices a promotion."
    )
    device: str = Field("auto", description="`auto`, `cpu`, `cuda` or `cuda:1`.")
    precision: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto",
        description="Number format in which images are encoded. `float32`: the reference's masks. "
        "`bfloat16`: faster, borders of masks move a little. `auto`: bfloat16 on GPUs since Ampere "
        "and CPUs with AMX or AVX512-BF16, else float32. `int8`: CPUs only, changes masks, and is "
        "never chosen by `auto`.",
    )
    compile: bool = Field(
        False,
        description="Compile the model with `torch.compile`: needs a C++ compiler and takes "
        "minutes once; the result is kept in the data folder.",
    )
    tune_allocator: bool = Field(
        True,
        description="Let glibc keep its memory pages: about twice the speed on CPUs under Linux.",
    )
    threads: int | None = Field(
        None, ge=1, description="CPU threads of the model. If it is not set, all cores are used."
    )

    label_studio_url: str | None = Field(
        None,
        validation_alias=AliasChoices("SAM_BACKEND_LABEL_STUDIO_URL", "LABEL_STUDIO_URL"),
        description="Label Studio's address as the backend reaches it. If it is not set, the "
        "address that Label Studio sends when the backend is connected.",
    )
    label_studio_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("SAM_BACKEND_LABEL_STUDIO_API_KEY", "LABEL_STUDIO_API_KEY"),
        description="Legacy or personal access token. It goes to `LABEL_STUDIO_URL` only and needs "
        "it. If it is not set, the token that Label Studio sends.",
    )
    label_studio_hosts: str = Field(
        "",
        description="Host names or addresses, with commas between them, of Label Studios at "
        "private addresses that may connect without a proof that they have the project, and that "
        "may take a known project over from a server that is gone. `*` stands for anything.",
    )
    allowed_hosts: str = Field(
        "",
        description="Names under which a backend without a password is called, with commas between "
        "them. `*` stands for anything. Addresses, localhost and names within a network need no "
        "entry.",
    )
    basic_auth_user: str | None = Field(
        None,
        description="User name that callers have to give, the same as in *Connect Model*, which "
        "can send the letters of latin-1.",
    )
    basic_auth_password: SecretStr | None = Field(
        None, description="Password of that user; the two are set together."
    )

    redis_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("SAM_BACKEND_REDIS_URL", "REDIS_URL"),
        description="Redis through which server processes share image embeddings, such as "
        "`redis://host:6379/0`.",
    )
    redis_secret: SecretStr | None = Field(
        None,
        description="Secret of the servers that share a Redis: embeddings that anybody else has "
        "put there are ignored.",
    )
    cache_memory_mb: int = Field(
        512, ge=0, description="Most megabytes of image embeddings in memory; 0 keeps none."
    )
    cache_disk_mb: int = Field(
        0, ge=0, description="Most megabytes of image embeddings in the data folder; 0 keeps none."
    )

    max_body_mb: int = Field(
        250,
        ge=1,
        description="Largest request that is read, in megabytes; 250 is Label Studio's own limit.",
    )
    max_image_mb: int = Field(
        100, ge=1, description="Largest image file that is fetched, in megabytes."
    )
    max_image_megapixels: int = Field(
        MAX_MEGAPIXELS,
        ge=1,
        le=MAX_MEGAPIXELS,
        description="Largest image that is decoded, in megapixels; Pillow's own guard allows no "
        "more than the default.",
    )
    image_timeout_s: float = Field(20.0, gt=0, description="Most seconds for fetching an image.")
    allow_private_addresses: bool = Field(
        False, description="Fetch images from private and link-local addresses too."
    )

    all_masks: bool = Field(
        False, description="Answer a single click with three masks: whole, part and subpart."
    )
    prefetch_tasks: int = Field(
        0, ge=0, description="How many tasks after the one that is opened are encoded in advance."
    )

    prefill: dict[str, Any] = Field(
        default_factory=dict,
        description="How tasks are prefilled, as JSON; docs/prefill.md lists the names. A "
        "project's own "
        '`extra_params` (`{"prefill": {…}}`) go before it.',
    )
    prefill_when: Literal["batch", "always", "never"] = Field(
        "batch",
        description="`batch`: tasks are prefilled where predictions of two or more are asked for; "
        "a single task, which is mostly one that was opened, gets what is ready. `always`: a task "
        "that is opened waits for its masks. `never`: by `sam-backend preannotate` only.",
    )
    prefill_budget_s: float = Field(
        80.0,
        gt=0,
        description="Seconds after which an answer is sent with what is ready; the rest goes on in "
        "the background. Label Studio waits 100 s.",
    )

    own_worker: bool = Field(
        True,
        description="Run queued jobs in a process of the server's own. `false`: jobs wait for a "
        "`sam-backend worker` on the same database and data folder.",
    )
    gold_per_hundred: float = Field(
        5.0,
        gt=0,
        le=100,
        description="Gold images that `sam-backend gold plant` and the queues put among a hundred "
        "tasks, unless the project's stage says otherwise.",
    )
    retrain_every: int | None = Field(
        None,
        ge=1,
        description="Retrain a project's model after so many new human masks. If it is not set, "
        "the project's stage decides; without a stage, never.",
    )
    retrain_steps: int | None = Field(
        None,
        ge=1,
        description="Most optimiser steps of a retraining. If it is not set, 300.",
    )
    stages: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Values of the table of stages that a team sets otherwise, as JSON by stage: "
        '`{"1": {"retrain_every": 50, "up": {"retrainings promoted": 2}}}`.',
    )
    stage_automatic: bool = Field(
        False,
        description="Projects that are in a stage move on and back by themselves at its gates.",
    )
    survey_s: float = Field(
        900.0,
        gt=0,
        description="Seconds between two measurements of a project in which something was labelled "
        "since, for stages, dashboard and alerts.",
    )
    reconcile_s: float = Field(
        300.0, gt=0, description="Seconds between counts of new masks that no webhook reported."
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
