"""Every setting, read once from the environment (prefix `DARKROOM_`) or `.env` into one frozen object.

The table in docs/operations.md is made from this file: `python -m core.settings`.
"""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cached_property, lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.domain.import_places import BucketPrefix, absolute_folder, bucket_prefix
from core.domain.limits import GIB, MIB

PREFIX = "DARKROOM_"
# Variables of the launcher, the client and the tests, which are no settings.
OTHER_VARIABLES = (
    *("DARKROOM_STACK_PID", "DARKROOM_MIGRATED", "DARKROOM_BROKER_BINARY", "DARKROOM_BROKER_SOCKET"),
    *("DARKROOM_URL", "DARKROOM_OPEN"),
)
TEST_PREFIX = "DARKROOM_TEST_"


class Settings(BaseSettings):
    """Defaults run everything on one machine under `home`; only values differ in production."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,  # a secret that is refused is not printed
    )

    home: Path = Field(Path(".darkroom"), description="Folder of all local state.")

    database_url: str = Field("", description="SQLAlchemy URL. Empty: SQLite (WAL) in `home`.")
    broker_url: str = Field(
        "", description="Redis protocol URL of the task queue's broker. Empty: workers poll the database."
    )
    store_url: str = Field("", description="`s3://bucket/prefix` or `file:///folder`. Empty: a folder in `home`.")
    s3_endpoint: str = Field("", description="S3 endpoint as the service reaches it. Empty: AWS.")
    s3_public_endpoint: str = Field("", description="S3 endpoint as users reach it; signed links are made for it.")
    s3_region: str = Field("us-east-1", description="S3 region.")
    s3_access_key: SecretStr = Field(
        SecretStr(""), description="S3 access key. Empty: boto3's own chain (role, profile, AWS_*)."
    )
    s3_secret_key: SecretStr = Field(SecretStr(""), description="S3 secret key.")

    api_host: str = Field(
        "127.0.0.1", description="Address the API binds to. Beyond loopback it needs `api_token` or `allow_open`."
    )
    api_port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    api_token: SecretStr = Field(
        SecretStr(""),
        description="When set, every request but /health and /ready needs `Authorization: Bearer <token>`, or a session of a browser that gave it.",
    )
    allow_open: bool = Field(
        False, description="Let the API bind beyond loopback without a token. It answers the same host names."
    )
    allowed_hosts: str = Field(
        "",
        description="Host names, separated by commas, under which the API answers besides those of loopback, `api_host` and `public_url`. `*`: any. Empty: any with a token, no other without one.",
    )
    public_url: str = Field("", description="How users reach the API, for absolute links. Empty: relative links.")

    mlflow_url: str = Field("", description="MLflow tracking URI that runs are mirrored to. Empty: no mirror.")
    mlflow_public_url: str = Field("", description="How users reach MLflow's pages. Empty: `mlflow_url`.")
    mlflow_port: int = Field(5000, ge=1, le=65535, description="Port of the MLflow server that `make up` starts.")

    session_days: float = Field(
        30.0, gt=0, description="A browser that gave the token is asked for it again after this time."
    )

    max_connections: int = Field(
        1000, ge=1, description="Connections to the API at once. A new one takes the place of the longest idle one."
    )
    idle_seconds: float = Field(
        30.0, gt=0, description="A request whose body stops arriving for this long is answered with 408."
    )

    upload_max_bytes: int = Field(20 * GIB, gt=0, description="Largest upload accepted.")
    keep_upload_hours: float = Field(
        48.0, gt=0, description="An unfinished resumable upload is kept this long after its last bytes."
    )
    disk_reserve_bytes: int = Field(
        256 * MIB,
        ge=0,
        description="What is written leaves this much of a disk free, for deletes, the database and logs: uploads all of it, workers half.",
    )
    temp_dir: Path | None = Field(
        None, description="Folder of uploads in progress and of workers' temporary files. Empty: `home`/tmp."
    )
    cache_dir: Path | None = Field(None, description="The worker's cache of prepared datasets. Empty: `home`/cache.")
    cache_max_bytes: int = Field(
        50 * GIB,
        gt=0,
        description="Above this size the cache evicts the datasets used least recently, never one in use.",
    )
    image_index_cache_bytes: int = Field(
        2 * GIB,
        gt=0,
        description="Above this size the API evicts its copies of image indexes, the ones used least recently first.",
    )
    weights_dir: Path | None = Field(None, description="Folder of pretrained weights. Empty: `home`/weights.")
    weights_max_bytes: int = Field(
        20 * GIB,
        gt=0,
        description="Above this size weights from a hub are evicted, the ones used least recently first, never one in use.",
    )
    hub: bool = Field(
        True,
        description="Let workers download from a hub: pretrained weights that the folder lacks, and datasets to import.",
    )
    hub_endpoint: str = Field(
        "https://huggingface.co", description="The Hugging Face hub that datasets are imported from, or a mirror of it."
    )
    hub_token: SecretStr = Field(
        SecretStr(""),
        description="Token of an account on the hub, sent to `hub_endpoint` alone, for gated and private datasets. Empty: public ones alone.",
    )
    import_hosts: str = Field(
        "",
        description="Host names, as for `image_hosts`, from whose URLs ZIPs are imported. Empty: none.",
    )
    import_buckets: str = Field(
        "",
        description="`s3://bucket/prefix`, separated by commas, from which datasets are imported, at `s3_endpoint` with its credentials. Empty: none.",
    )
    import_folders: str = Field(
        "",
        description="Absolute paths, separated by commas, of folders of the workers' machines from which datasets are imported. Empty: none.",
    )

    lease_seconds: float = Field(60.0, gt=0, description="A claim not renewed for this long is lost.")
    heartbeat_seconds: float = Field(15.0, gt=0, description="How often a claim is renewed.")
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="A checkpoint is stored at most this often, at the end of an epoch."
    )
    sweep_seconds: float = Field(
        5.0, gt=0, description="How often housekeeping sweeps: lost leases, rows to enqueue again, runs to mirror."
    )
    clean_seconds: float = Field(
        60.0, gt=0, description="How often housekeeping deletes what is no longer needed: objects, rows and folders."
    )
    prepare_processes: int = Field(2, ge=1, description="Processes that decode images while preparing.")
    prepare_memory_bytes: int = Field(
        4 * GIB,
        ge=512 * MIB,
        description="Memory of the process that prepares or repairs a dataset, beside those that decode. Linux.",
    )
    prepare_seconds: float = Field(
        6 * 3600.0,
        gt=0,
        description="A preparation, an extension with its preparation, a repair or an import that takes longer is ended.",
    )
    train_memory_bytes: int | None = Field(
        None,
        ge=GIB,
        description="Memory of each process of a training without an NVIDIA GPU, with up to 2 GiB that libraries"
        " allocate and do not use. Empty: that of the machine or the container, and 2 GiB. Linux.",
    )
    train_seconds: float = Field(
        7 * 24 * 3600.0, gt=0, description="A training ends after this time with its best model so far."
    )
    operation_memory_bytes: int = Field(
        4 * GIB, ge=512 * MIB, description="Memory of the process that works on an operation. Linux."
    )
    operation_seconds: float = Field(6 * 3600.0, gt=0, description="An operation that takes longer is ended.")
    serving_host: str = Field("127.0.0.1", description="Address that serving binds to; the rules of `api_host` hold.")
    serving_port: int = Field(8001, ge=1, le=65535, description="Port of serving.")
    serving_url: str = Field(
        "",
        description="Where the API sends predictions; several, separated by commas, in turn. Empty: `serving_host` and `serving_port`.",
    )
    serving_threads: int = Field(
        0, ge=0, description="Images that are computed at once on a processor. 0: one a core of this process."
    )
    serving_waiting: int = Field(
        256,
        ge=0,
        description="Images that may wait beside them, one by tiles counted by its tiles; then the answer is 429.",
    )
    serving_memory_bytes: int = Field(
        2 * GIB, gt=0, description="Above this estimate the model used least recently is unloaded, never one in use."
    )
    serving_load_seconds: float = Field(
        30.0, gt=0, description="A request waits this long for its model; then the answer is 503, and loading goes on."
    )
    serving_answer_seconds: float = Field(
        60.0, gt=0, description="A prediction that is not ready by then is given up, and answered with 503."
    )
    serving_body_bytes: int = Field(
        512 * MIB,
        gt=0,
        description="Bytes of requests that serving has in memory at once, at least four times what one may have; then the answer is 429.",
    )
    serving_engine: Literal["auto", "onnxruntime", "openvino"] = Field(
        "auto", description="`auto`: the faster one on this machine, of those that answer as certified."
    )
    serving_device: Literal["auto", "cpu", "cuda", "tensorrt"] = Field(
        "auto", description="Where onnxruntime computes. `auto`: CUDA where it has it. Another one is taken, or fails."
    )
    serving_cache_bytes: int = Field(
        10 * GIB, gt=0, description="Above this the files of exports that serving used least recently are removed."
    )
    serving_precision: Literal["fp32", "fp16", "bf16", "int8"] = Field(
        "fp32", description="Precision of the exports served."
    )
    serving_preload: str = Field(
        "", description="Names of models, separated by commas, that are loaded before serving is ready."
    )
    image_max_bytes: int = Field(
        32 * MIB, gt=0, description="Largest image that is predicted; a request has at most twice as many bytes."
    )
    image_hosts: str = Field(
        "",
        description="Host names, separated by commas, from whose URLs images are fetched, on ports 80 and 443, or `name:port`; `*`: any. Never from addresses inside (private, loopback, link-local) beyond `private_networks`. Empty: none.",
    )
    private_networks: str = Field(
        "",
        description="Networks or addresses inside, separated by commas (`10.20.0.0/16,fd12:3456::/32`), in which hosts that `image_hosts` and `import_hosts` name may be. Loopback, link-local and metadata of clouds only where they are named by themselves. Empty: none.",
    )
    image_seconds: float = Field(10.0, gt=0, description="An image that takes longer to fetch is given up.")
    export_on_publish: bool = Field(
        True, description="Every version gets its ONNX export, with a certificate, when it is published."
    )
    evaluate_on_publish: bool = Field(
        True,
        description="Every trained version is evaluated once, when no other operation waits: its pages have the images behind its figures.",
    )
    keep_source_days: float = Field(30.0, ge=0, description="Uploaded ZIPs of ended jobs are kept this long.")
    keep_checkpoint_days: float = Field(7.0, ge=0, description="Checkpoints of ended runs are kept this long.")
    keep_operation_days: float = Field(
        7.0, ge=0, description="Inputs of failed operations, and each event of ended ones, are kept this long."
    )
    keep_thumbnail_days: float = Field(
        30.0, ge=0, description="Stored thumbnails are kept this long; they are made again when asked for."
    )
    orphan_hours: float = Field(24.0, ge=0, description="Objects that no row names are kept this long.")

    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_json: bool = Field(False, description="Log JSON lines instead of text.")

    @cached_property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home.resolve() / 'darkroom.db'}"

    @cached_property
    def store(self) -> str:
        return self.store_url or (self.home.resolve() / "objects").as_uri()

    @property
    def preloaded(self) -> list[str]:
        """Names of models that serving loads at its start."""
        return [name.strip() for name in self.serving_preload.split(",") if name.strip()]

    @property
    def predicting_threads(self) -> int:
        """Images that a process computes at once."""
        return self.serving_threads or len(os.sched_getaffinity(0))

    @property
    def serving_links(self) -> list[str]:
        """Where the API sends predictions."""
        return [url.strip() for url in self.serving_link.split(",") if url.strip()]

    @cached_property
    def serving_link(self) -> str:
        host = f"[{self.serving_host}]" if ":" in self.serving_host else self.serving_host
        return self.serving_url or f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.serving_port}"  # noqa: S104 - a comparison

    @cached_property
    def allowed_image_hosts(self) -> frozenset[str]:
        """From whose URLs images are fetched; `*`: any of the public network."""
        return frozenset(name.strip().lower() for name in self.image_hosts.split(",") if name.strip())

    @cached_property
    def allowed_import_hosts(self) -> frozenset[str]:
        """From whose URLs ZIPs are imported; `*`: any of the public network."""
        return frozenset(name.strip().lower() for name in self.import_hosts.split(",") if name.strip())

    @cached_property
    def named_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The private ones in which hosts that are allowed by their name may be."""
        return tuple(map(ip_network, _listed(self.private_networks)))

    @cached_property
    def allowed_import_buckets(self) -> tuple[BucketPrefix, ...]:
        return tuple(map(bucket_prefix, _listed(self.import_buckets)))

    @cached_property
    def allowed_import_folders(self) -> tuple[Path, ...]:
        return tuple(map(absolute_folder, _listed(self.import_folders)))

    @cached_property
    def own_folders(self) -> frozenset[Path]:
        """What the service itself keeps there is never imported; the file of the database among them. By their names, and with links resolved."""
        own = (self.home.absolute(), self.database_file, self.store_folder, self.temp, self.cache, self.weights)
        return frozenset(path for folder in own if folder is not None for path in (folder, folder.resolve()))

    @field_validator("hub_token")
    @classmethod
    def check_hub_token(cls, token: SecretStr) -> SecretStr:
        value = token.get_secret_value().strip()
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise ValueError("a token has no spaces and nothing beyond ASCII")  # else it would be part of an error
        return SecretStr(value)

    @field_validator("import_buckets", "import_folders")
    @classmethod
    def check_import_places(cls, listed: str, info: ValidationInfo) -> str:
        for each in _listed(listed):
            (bucket_prefix if info.field_name == "import_buckets" else absolute_folder)(each)
        return listed

    @field_validator("private_networks")
    @classmethod
    def check_private_networks(cls, listed: str) -> str:
        for each in _listed(listed):
            ip_network(each)  # its error names what is wrong with it
        return listed

    @property
    def database_file(self) -> Path | None:
        """SQLite's; None for another database."""
        scheme, separator, path = self.database.partition(":///")
        is_sqlite = bool(separator) and scheme.startswith("sqlite")
        return Path(path.partition("?")[0]).absolute() if is_sqlite else None

    @cached_property
    def store_folder(self) -> Path | None:
        """The folder that holds the objects; None where they are in S3."""
        url = urlsplit(self.store)
        return Path(unquote(url.path)) if url.scheme == "file" else None

    @cached_property
    def temp(self) -> Path:
        return (self.temp_dir or self.home / "tmp").resolve()

    @cached_property
    def cache(self) -> Path:
        return (self.cache_dir or self.home / "cache").resolve()

    @cached_property
    def weights(self) -> Path:
        return (self.weights_dir or self.home / "weights").resolve()

    @property
    def mlflow_link(self) -> str:
        return self.mlflow_public_url or self.mlflow_url


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process, read at the first call."""
    return Settings()


def _listed(value: str) -> list[str]:
    return [each.strip() for each in value.split(",") if each.strip()]


def unknown_settings(environment: Iterable[str]) -> dict[str, str | None]:
    """The `DARKROOM_...` variables in the environment and `.env` that are no setting, each with a similar one."""
    file = Settings.model_config.get("env_file")
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    names = sorted({*environment, *(dotenv_values(str(file)) if file else ())})
    unknown = [name for name in names if name.upper().startswith(PREFIX) and not _is_known(name.upper(), known)]
    return {name: next(iter(get_close_matches(name.upper(), known, n=1, cutoff=0.75)), None) for name in unknown}


def _is_known(variable: str, settings: Iterable[str]) -> bool:
    return variable in settings or variable in OTHER_VARIABLES or variable.startswith(TEST_PREFIX)


def settings_table() -> str:
    """A Markdown table of every setting, for docs/operations.md."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        example = "" if default in ("", None) or isinstance(default, SecretStr) else f"`{default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {example} | {field.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(settings_table())  # noqa: T201 - the command's output
