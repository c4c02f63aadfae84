"""
Every setting: one frozen class per concern, and under each field what it is, its unit, its default and why.

The texts under the fields are the documentation: `pydantic` keeps them, and the reference page is made from them.
"""

import re
from dataclasses import field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from kintsugi.durations import parse_duration

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


def _as_list(value: object) -> object:
    """Split `a,b` into a list, so that a variable of the environment can hold several."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _http_url(value: str) -> str:
    """Accept an address over HTTP, without the slash at its end."""
    if not value.startswith(("http://", "https://")):
        raise ValueError("not an address over HTTP: write http://HOST:PORT or https://HOST")
    return value.rstrip("/")


def _duration(value: object) -> object:
    """Read a duration from its text; anything else is left to the next reader."""
    return parse_duration(value) if isinstance(value, str) else value


def _positive(value: timedelta) -> timedelta:
    """Refuse a wait of nothing."""
    if value <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return value


def _quantity(value: str) -> str:
    """Accept a quantity of Kubernetes that is above nothing."""
    if not _QUANTITY.fullmatch(value):
        raise ValueError(f"{value!r} is not a quantity of Kubernetes: write it as in 20Gi, 512Mi or 250m")
    return value


def _object_name(value: str) -> str:
    """Accept the name of an object of Kubernetes."""
    if not _OBJECT_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not the name of an object: lower-case letters, digits, and -. between them")
    return value


def _object_names(values: frozenset[str]) -> frozenset[str]:
    """Accept names of objects only: one that is misspelt would protect nothing."""
    return frozenset(map(_object_name, values))


def _image(value: str) -> str:
    """Accept the name of an image, with a tag or a digest."""
    if not _IMAGE.fullmatch(value):
        raise ValueError(f"{value!r} is not an image: write it as in registry.example.com/kintsugi:1.0")
    return value


_QUANTITY = re.compile(r"(?=.*[1-9])\d{1,12}(\.\d{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_OBJECT_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,400}")

Wait = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_positive)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_as_list)]
Names = Annotated[frozenset[str], BeforeValidator(_as_list)]
Namespaces = Annotated[frozenset[str], BeforeValidator(_as_list), AfterValidator(_object_names)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Quantity = Annotated[str, AfterValidator(_quantity)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
ImageName = Annotated[str, AfterValidator(_image)]


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class ServerSettings:
    """The HTTP port for webhooks and the API; health and metrics have one of their own."""

    host: str = "0.0.0.0"  # noqa: S104  a pod is reached from other pods
    """Address to listen on. All of them by default; the NetworkPolicy of the chart says who may come."""

    port: Port = 8080
    """TCP port; 0 takes any free one."""

    operator_token_files: Paths = ()
    """Files with the tokens of people, a line each: `NAME:TOKEN`, or a bare token whose holder says who they are.
    Read anew when they change. None by default: then nobody can approve, pause or read incidents over HTTP."""

    insecure_no_token: bool = False
    """Accept webhooks from anyone when no token file is given. Off by default: whoever may post may start runbooks."""

    max_body: Count = 32 * 1024 * 1024
    """Largest body of a webhook, in bytes. 32 MiB holds about 35,000 alerts; Alertmanager never gives up on a larger
    group and never makes it smaller, so a lower limit loses whole groups."""

    max_body_memory: Count = 128 * 1024 * 1024
    """Bytes of all bodies being read or decoded at one time; above it webhooks are answered 503 and come again."""

    max_waiting: Count = 20_000
    """Alerts that may wait for their commit; above it webhooks are answered 503. About a second of work."""

    commit_wait: Wait = timedelta(milliseconds=800)
    """How long one commit may take before its webhooks are answered 503. Below a second, so that the sender learns
    soon that nothing is accepted; a commit that finishes later is harmless, its alerts come again as repeats."""

    max_connections: Count = 4096
    """Open connections; more are closed at once, and so are those of one address above half of them. An Alertmanager
    opened 970 at once for 1,000 groups (measured)."""

    backlog: Count = 4096
    """Connections that the kernel keeps until they are accepted; 128 overflowed with 3,000 groups (measured)."""

    header_timeout: Wait = timedelta(seconds=10)
    """How long a new connection may take to say what it wants."""

    body_timeout: Wait = timedelta(seconds=30)
    """How long a body may take to arrive whole."""

    idle_timeout: Wait = timedelta(seconds=75)
    """How long a connection is kept open between two requests."""

    shutdown_timeout: Wait = timedelta(seconds=10)
    """How long requests under way may take to finish when the daemon stops."""

    tls_certificate_file: Path | None = None
    """PEM file with the certificate of this port and those that lead to its authority. Read anew when it changes; one that
    cannot be used keeps the last. None: tokens and answers go in the clear, as inside a cluster behind a NetworkPolicy."""

    tls_key_file: Path | None = None
    """PEM file with the private key of that certificate, without a passphrase."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class AlertmanagerSettings:
    """Who sends the webhooks, and where to ask for what they did not bring."""

    token_files: Paths = ()
    """Files with the bearer tokens of the webhook, one a line; all of them are valid, so that a token can be rotated
    without a refused (and therefore lost) delivery. Read anew when they change."""

    url: HttpUrl | None = None
    """Address of Alertmanager's API, as in http://alertmanager.monitoring:9093. None: it is not polled, and a delivery
    that never came stays unknown."""

    url_token_file: Path | None = None
    """File with the bearer token for that address, when it wants one."""

    poll_interval: Wait = timedelta(seconds=30)
    """How often the firing alerts are asked for. A lost delivery is found within this time."""

    poll_timeout: Wait = timedelta(seconds=10)
    """How long one such request may take."""

    reopen_after: Wait = timedelta(minutes=10)
    """How long a firing delivery that came in after the alert's end, with the beginning that it had, is provisional: when
    no other resolved one has come by then, the alert fires again and is judged. Alertmanager tries one delivery for as
    long as its `group_interval` (5m by default) and tells an end within another: set it above twice that. Not scaled by
    `durations`: it is Alertmanager's clock."""

    stale_after: Wait = timedelta(hours=13)
    """When an alert that fires counts as over because nobody has repeated it, where no `url` is given to ask; it is told
    as stale, not as resolved. Three times Alertmanager's default repeat_interval of 4 h and an hour; give more than three
    times your longest one. An alert of an open incident never ends so."""

    receiver: str = "kintsugi"
    """Name of our receiver in Alertmanager's configuration: only what is routed to us is polled."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class KubeSettings:
    """How to reach the Kubernetes API, and how long to wait for it."""

    kubeconfig: Path | None = None
    """A kubeconfig file. None: the pod's own service account."""

    context: str | None = None
    """Context of the kubeconfig. None: its current one."""

    service_account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    """Directory of the pod's service account: token, certificate of the cluster, namespace."""

    request_timeout: Wait = timedelta(seconds=30)
    """How long a request may take, with its retries."""

    connect_timeout: Wait = timedelta(seconds=5)
    """How long one attempt may take to be connected."""

    read_timeout: Wait = timedelta(seconds=15)
    """How long an open connection may stay silent in one attempt."""

    stale_after: Wait = timedelta(seconds=90)
    """When a watch that has heard nothing is too old to act upon."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class LedgerSettings:
    """Where everything is written before it is done."""

    url: str = "sqlite:////var/lib/kintsugi/ledger.db"
    """Database: `sqlite:///PATH` (one replica) or `postgresql://USER@HOST/NAME`."""

    keep: Wait = timedelta(days=90)
    """How long closed incidents are kept. Open ones, and what a guard still counts, stay longer."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class GuardSettings:
    """Limits on what may be done; durations are scaled by `durations`."""

    protected_namespaces: Namespaces = frozenset()
    """Further namespaces in which nothing is ever changed, besides kube-system, kube-public, kube-node-lease and the
    daemon's own, which no setting takes out. Comma-separated in a variable."""

    cooldown_max: Wait = timedelta(hours=2)
    """The longest cooldown: a rule's own doubles after each run that did not help, up to this."""

    failures: Count = 3
    """Runs on end that did not help, after which a service is left alone for `failures_pause`."""

    failures_pause: Wait = timedelta(hours=1)
    """How long it is left alone."""

    recoveries: Annotated[int, Field(ge=2, le=20)] = 3
    """Recoveries of one service by one runbook within `recoveries_window`, after which the trouble counts as one that returns:
    a person is told instead, once, and the runbook is not started for as long as that window. Two may be chance."""

    recoveries_window: Wait = timedelta(hours=4)
    """The time over which they are counted. Half a shift: who is told still knows what was changed before the first one."""

    recoveries_pause_max: Wait = timedelta(hours=24)
    """The longest such rest: it doubles when the trouble returns once more within the window after it. Once a day a remedy
    may still be tried."""

    budget: Count = 20
    """Changes that may be made in one namespace within `budget_window`, by all rules together."""

    budget_window: Wait = timedelta(hours=1)
    """The time over which the budget is counted."""

    services_at_once: Count = 3
    """Services that may be under recovery at one time."""

    breaker_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of unrelated services (or of nodes) that look bad above which the observer is suspected, not they."""

    hold_limit: Wait = timedelta(minutes=15)
    """How long a run waits for the recovery of what its service depends on before a person is told."""

    approval_expiry: Wait = timedelta(minutes=30)
    """How long a question to a person stays open."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class WatchdogSettings:
    """When a run has helped, and when it has not; durations are scaled by `durations`."""

    verify: Wait = timedelta(minutes=2)
    """The least time that a service must stay healthy to count as recovered."""

    alert_lag: Wait = timedelta(minutes=15)
    """How long an alert may go on firing after its service is healthy."""

    failing_for: Wait = timedelta(minutes=3)
    """How long on end a service must have failed before its rollback starts by itself."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class S3Settings:
    """Where backups lie; what is not said here is found by the usual chain of AWS (a role of the service account)."""

    endpoint: HttpUrl | None = None
    """Address of an S3 server that is not AWS's own, as in https://s3.example.com:9000."""

    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] | None = None
    """Region of the bucket, where the server asks for one."""

    credentials: ObjectName | None = None
    """Secret in the service's namespace with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and perhaps
    AWS_SESSION_TOKEN. The daemon names it to the worker and never reads it."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class RestoreSettings:
    """The Jobs that fetch backups and restore them. They run in the namespace of the service that is restored."""

    image: ImageName | None = None
    """Image of the workers: the daemon's own. KINTSUGI_IMAGE says it too, where the manifest of the daemon sets that.
    None: backups are neither fetched nor restored, and a step that should says so."""

    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When a node pulls that image."""

    claim: ObjectName | None = None
    """PersistentVolumeClaim in the service's namespace that backups are fetched into. None: one is made for each run,
    and goes with its Job."""

    room: Quantity = "20Gi"
    """Size of the claim that is made: the largest backup and a tenth must fit. A backup that does not fit is passed over,
    and that is said."""

    storage_class: ObjectName | None = None
    """Storage class of the claim that is made. None: the cluster's default one."""

    service_account: ObjectName | None = None
    """Service account of the workers, for a cloud's credentials. None: they get no token at all. It needs no right in the
    cluster and should have none."""

    s3: S3Settings = field(default_factory=S3Settings)

    cpu: Quantity = "250m"
    """Processor time that a worker asks for. It has no limit: a restore is short of everything else."""

    memory: Quantity = "512Mi"
    """Memory that a worker asks for, and may use at most. It streams: a larger backup takes no more."""

    start_within: Wait = timedelta(minutes=10)
    """How long a worker may take until it runs: to be scheduled, to have its volume and its image. After that its Job is
    ended, and the reason is what the cluster's Events say."""

    longest: Wait = timedelta(hours=12)
    """How long a worker may run in all; Kubernetes ends it then, even without a daemon. A step's own `timeout` is about
    one that makes no progress."""

    keep: Wait = timedelta(days=7)
    """How long a Job that has ended, its log and the claim that was made for it are kept. A fetched backup must still be
    there when somebody approves its restore."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class NotificationSettings:
    """Where people hear of what needs them."""

    url: HttpUrl | None = None
    """Address that each notice is posted to as JSON. None: notices wait in the ledger and are read there."""

    token_file: Path | None = None
    """File with the bearer token for that address; read for each notice."""

    timeout: Wait = timedelta(seconds=10)
    """How long one delivery may take."""

    interval: Wait = timedelta(seconds=5)
    """How often the outbox is looked at."""

    backoff_max: Wait = timedelta(minutes=15)
    """The longest pause between two attempts of one notice; they start at 5 s and double."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class TelemetrySettings:
    """What the daemon says about itself."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe lines that are written."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """`json` for machines, `console` for people; `auto` is `console` on a terminal and `json` elsewhere."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class CatalogSettings:
    """Where rules, services and runbooks come from."""

    directory: Path | None = None
    """Directory that replaces the shipped rules and runbooks. None: those."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_STRICT)
class ChaosSettings:
    """For the tests of this project only; shown in no help."""

    kill_at: Names = frozenset()
    """The crash points at which the process kills itself, at whichever comes first: numbers or names, as `trace` has them."""

    trace: Path | None = None
    """File to which crash points are written as they are passed, a line each: number, name."""
