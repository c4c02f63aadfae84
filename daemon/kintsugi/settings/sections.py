"""
Every setting: one frozen class per concern; the text under each field has its meaning, unit, default and reason.

The texts under the fields are the documentation: `pydantic` keeps them, and the reference page is made from them.
"""

from dataclasses import field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from kintsugi.settings.fields import (
    STRICT,
    Count,
    HttpUrl,
    ImageName,
    Names,
    Namespaces,
    ObjectName,
    Paths,
    Percentage,
    Port,
    Quantity,
    Wait,
)


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class ServerSettings:
    """The HTTP port for webhooks and the API; health and metrics have one of their own."""

    host: str = "0.0.0.0"  # noqa: S104  a pod is reached from other pods
    """Address to listen on. All of them by default; docs/network-policy.yaml says who may come."""

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

    commit_wait: Wait = timedelta(seconds=5)
    """How long one commit may take before its webhooks are answered 503. More than a busy disk takes: a 503 makes more
    work than it saves. Half of the ten seconds that Alertmanager gives a notification at least (its `MinTimeout`), so that
    it hears the answer. A commit that finishes later is harmless, its alerts come again as repeats."""

    max_connections: Count = 4096
    """Open connections, half of them for one address at most. For one more the one that has been idle longest is closed, first
    of addresses that have never shown a token; while a request is under way on each, the new one is. An Alertmanager opened 970
    at once for 1,000 groups (measured)."""

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


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class AlertmanagerSettings:
    """The tokens of Alertmanager's webhooks, and the API that is polled for alerts that they did not deliver."""

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


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class PrometheusSettings:
    """The Prometheus that runbooks ask for metrics."""

    url: HttpUrl | None = None
    """Address of Prometheus, as in http://prometheus.monitoring:9090; runbooks read it as `prometheus.url`. None: it is ""
    there, steps that watch metrics are left out, and the end of a run says that nothing was watched."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class KubeSettings:
    """The access to the Kubernetes API, and its time limits."""

    kubeconfig: Path | None = None
    """A kubeconfig file. None: the pod's own service account."""

    context: str | None = None
    """Context of the kubeconfig. None: its current one."""

    service_account_dir: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    """Directory of the pod's service account: token, certificate of the cluster, namespace."""

    request_timeout: Wait = timedelta(seconds=30)
    """How long a request may take, with its retries."""

    connect_timeout: Wait = timedelta(seconds=5)
    """How long one attempt may take to be connected."""

    read_timeout: Wait = timedelta(seconds=15)
    """How long an open connection may stay silent in one attempt."""

    qps: Annotated[float, Field(gt=0, le=10_000)] = 50
    """Requests a second to the API server, over time. Reads wait for it; changes count and do not wait, watches are exempt."""

    burst: Count = 100
    """Requests that may go at once, when there were fewer before."""

    stale_after: Wait = timedelta(seconds=90)
    """When a watch that has heard nothing is too old to act upon."""

    notify_after: Wait = timedelta(minutes=2)
    """How long what is seen may be in doubt (a watch that is too old, an API that does not answer, nodes that do not report)
    before a person is told by an incident of its own, and how long it must be trusted again until that is closed. Nothing is
    changed from the first moment on; most doubts are over within this time."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class LedgerSettings:
    """The ledger, in which every change is written before it is made."""

    url: str = "sqlite:////var/lib/kintsugi/ledger.db"
    """Database: `sqlite:///PATH` (one replica) or `postgresql://USER@HOST/NAME`."""

    retention: Wait = timedelta(days=90)
    """How long closed incidents are kept. Open ones, and what a guard still counts, stay longer."""

    encryption_key_file: Path | None = None
    """File with keys, a line each: 32 bytes in base64. With the first the ledger keeps encrypted what a change must write
    back, is a secret, and stands in no revision, and what may be one in each workload's last good template; with all of
    them it is decrypted. Read each time, so that keys are rotated without a restart: put a new one above the old. None:
    such a change is refused, and of such a template that much is left out."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class GuardSettings:
    """Limits on what may be done; durations are scaled by `durations`."""

    protected_namespaces: Namespaces = frozenset()
    """Further namespaces in which nothing is ever changed, besides kube-system, kube-public, kube-node-lease and the
    daemon's own, which no setting takes out. Comma-separated in a variable."""

    cooldown_max: Wait = timedelta(hours=2)
    """The longest cooldown: a rule's own doubles after each run that did not help, up to this."""

    failures: Count = 3
    """Runs on end that did not help, after which a service is left alone for `failuresPause`."""

    failures_pause: Wait = timedelta(hours=1)
    """How long it is left alone."""

    recoveries: Annotated[int, Field(ge=2, le=20)] = 3
    """Recoveries of one service by one runbook within `recoveriesWindow`, after which the trouble counts as one that returns:
    a person is told instead, once, and the runbook is not started for as long as that window. Two may be chance."""

    recoveries_window: Wait = timedelta(hours=4)
    """The time over which they are counted. Half a shift: who is told still knows what was changed before the first one."""

    recoveries_pause_max: Wait = timedelta(hours=24)
    """The longest such rest: it doubles when the trouble returns once more within the window after it. Once a day a remedy
    may still be tried."""

    budget: Count = 20
    """Changes that may be made in one namespace within `budgetWindow`, by all rules together."""

    budget_window: Wait = timedelta(hours=1)
    """The time over which the budget is counted."""

    max_unavailable: Percentage = "50%"
    """Share of a service's pods, rounded up, that may be unavailable when a pod that serves is deleted: the `maxUnavailable` of a
    PodDisruptionBudget. The next one waits until others are ready again. A pod that does not serve is never held by it."""

    max_concurrent_services: Count = 3
    """Services that may be under recovery at one time."""

    max_concurrent_services_per_namespace: Count | None = None
    """Services of one namespace that may be under recovery at one time. None: as many as in the cluster."""

    breaker_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of nodes that do not report, or of unrelated services of which nobody says why they are unhealthy, above which the
    observer is suspected, not they."""

    hold_limit: Wait = timedelta(minutes=15)
    """How long a run waits for the recovery of what its service depends on before a person is told."""

    serving_for: Wait = timedelta(seconds=30)
    """How long what a service depends on must have served again, unbroken, before that service is waited for no longer: as long
    as it takes until what waits is judged again. One that flaps lets nobody go."""

    approval_expiry: Wait = timedelta(minutes=30)
    """How long a question to a person stays open."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class WatchdogSettings:
    """The terms by which a run counts as helpful or not; durations are scaled by `durations`."""

    verify: Wait = timedelta(minutes=2)
    """The least time that a service must stay healthy to count as recovered."""

    good_after: Wait = timedelta(minutes=10)
    """How long a service must have been well with a new revision, its checks met and its endpoints ready without a break, before
    that revision is one to go back to. One that fails by itself within six times as long is none any more."""

    alert_lag: Wait = timedelta(minutes=15)
    """How long an alert may go on firing after its service is healthy."""

    failing_for: Wait = timedelta(minutes=3)
    """How long on end a service must have failed before its rollback starts by itself."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class S3Settings:
    """
    The place of backups; values that are not set here are found by the usual chain of AWS (a role of the service
    account).
    """

    endpoint: HttpUrl | None = None
    """Address of an S3 server that is not AWS's own, as in https://s3.example.com:9000."""

    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] | None = None
    """Region of the bucket, where the server asks for one."""

    credentials: ObjectName | None = None
    """Secret in the service's namespace with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and perhaps
    AWS_SESSION_TOKEN. The daemon names it to the worker and never reads it."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class RestoreSettings:
    """The Jobs that fetch backups and restore them. They run in the namespace of the service that is restored."""

    image: ImageName | None = None
    """Image of the workers: the daemon's own. KINTSUGI_IMAGE says it too, where the manifest of the daemon sets that.
    None: backups are neither fetched nor restored, and a step that should says so."""

    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When a node pulls that image."""

    existing_claim: ObjectName | None = None
    """PersistentVolumeClaim in the service's namespace that backups are fetched into. None: one is made for each run,
    and goes with its Job."""

    volume_size: Quantity = "20Gi"
    """Size of the claim that is made: the largest backup and a tenth must fit. A backup that does not fit is passed over,
    and that is said."""

    storage_class_name: ObjectName | None = None
    """Storage class of the claim that is made. None: the cluster's default one."""

    service_account_name: ObjectName | None = None
    """Service account of the workers, for a cloud's credentials. None: they get no token at all. It needs no right in the
    cluster and should have none."""

    s3: S3Settings = field(default_factory=S3Settings)

    cpu: Quantity = "250m"
    """Processor time that a worker asks for. It has no limit: a restore is short of everything else."""

    memory: Quantity = "512Mi"
    """Memory that a worker asks for, and may use at most. It streams: a larger backup takes no more."""

    drill_image: ImageName | None = None
    """Image of the PostgreSQL server that a drill restores into. None: that of the service's own database, as its pod has it."""

    drill_ephemeral_storage: Quantity = "20Gi"
    """Room on its node's disk for a drill's database: asked for, and the most that it may take. About twice the live one."""

    drill_memory: Quantity = "1Gi"
    """Memory that a drill's server asks for, and may use at most."""

    start_timeout: Wait = timedelta(minutes=10)
    """How long a worker may take until it runs: to be scheduled, to have its volume and its image. After that its Job is
    ended, and the reason is what the cluster's Events say."""

    active_deadline: Wait = timedelta(hours=12)
    """How long a worker may run in all; Kubernetes ends it then, even without a daemon. A step's own `timeout` is about
    one that makes no progress."""

    ttl_after_finished: Wait = timedelta(days=7)
    """How long a Job that has ended, its log and the claim that was made for it are kept. A fetched backup must still be
    there when somebody approves its restore."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class NotificationSettings:
    """The notification of people."""

    url: HttpUrl | None = None
    """Address that each notice is posted to as JSON. None: notices wait in the ledger and are read there."""

    token_file: Path | None = None
    """File with the bearer token for that address; read for each notice."""

    observed: bool = True
    """Whether a person is told, once an episode of a service, of what only rules in mode `observe` see, or what the daemon's own
    mode keeps from being mended. On: otherwise it would reach nobody."""

    timeout: Wait = timedelta(seconds=10)
    """How long one delivery may take."""

    interval: Wait = timedelta(seconds=5)
    """How often the outbox is looked at."""

    backoff_max: Wait = timedelta(minutes=15)
    """The longest pause between two attempts of one notice; they start at 5 s and double."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class TelemetrySettings:
    """The logs and metrics of the daemon."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe lines that are written."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """`json` for machines, `console` for people; `auto` is `console` on a terminal and `json` elsewhere."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class CatalogSettings:
    """The sources of rules, services and runbooks."""

    directory: Path | None = None
    """Directory that replaces the shipped rules and runbooks. None: those."""

    additions: Paths = ()
    """Files and folders with documents of your own, added to what is shipped, or to `directory`. Of two documents of one kind
    no two may have the same name."""

    example: bool = True
    """Whether the five services of the shipped example and their rules are there. Without them the rules that every service gets
    stay, and the shipped runbooks are a library: those that name a service or a check that is not there are left out, unless a
    document of yours names them."""

    verbs: Names = frozenset()
    """Verbs of other distributions, by the names of their entry points in the group `kintsugi.verbs`; what is installed and not
    named here is not loaded. What they do is done with the daemon's rights (docs/adding-a-verb.md)."""
