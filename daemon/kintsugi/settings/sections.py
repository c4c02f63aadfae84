"""
Every setting: one frozen class per concern; the text under each field has its meaning, unit, default and reason.

The texts under the fields are the documentation: `pydantic` keeps them, and the reference page is made from them.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from kintsugi.settings.fields import (
    STRICT,
    Count,
    HostNames,
    HttpOrigin,
    HttpUrl,
    ImageName,
    KindNames,
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
    """Address to listen on. Default: all addresses; docs/network-policy.yaml restricts the clients."""

    port: Port = 8080
    """TCP port; 0 selects any free port."""

    operator_token_files: Paths = ()
    """Files with the tokens of people, one per line: `NAME:TOKEN`, or a bare token whose holder names themselves.
    Read again when they change. Default: no file; then answers, pauses and incidents are unavailable over HTTP."""

    insecure_no_token: bool = False
    """Accept webhooks without a token if no token file is given. Default: off, because any client could start runbooks."""

    max_body: Count = 32 * 1024 * 1024
    """Largest body of a webhook, in bytes. 32 MiB is about 35,000 alerts. Alertmanager retries a larger group forever
    and never splits the group, so a lower limit loses whole groups."""

    max_body_memory: Count = 128 * 1024 * 1024
    """Bytes of all bodies that are read or decoded at one time. Above this limit, webhooks get 503 and are sent again."""

    max_waiting: Count = 20_000
    """Alerts that may wait for their commit: about a second of work. Above this limit, webhooks get 503."""

    commit_wait: Wait = timedelta(seconds=5)
    """How long one commit may take before its webhooks get 503. The limit is longer than a busy disk needs, because a 503
    causes more work than it saves. The limit is half of Alertmanager's minimum of ten seconds (`MinTimeout`), so that
    Alertmanager receives the answer. A later end of the commit is harmless: its alerts come again as repeats."""

    max_connections: Count = 4096
    """Open connections; one address may use at most half of them. For one more, the connection with the longest idle time is
    closed, first of addresses that never showed a token. If all connections have a request under way, the new connection is
    closed. An Alertmanager opened 970 at once for 1,000 groups (measured)."""

    backlog: Count = 4096
    """Connections that the kernel keeps until they are accepted; 128 overflowed with 3,000 groups (measured)."""

    header_timeout: Wait = timedelta(seconds=10)
    """How long a new connection may take to send the head of its request."""

    body_timeout: Wait = timedelta(seconds=30)
    """How long a complete body may take to arrive."""

    idle_timeout: Wait = timedelta(seconds=75)
    """How long a connection is kept open between two requests."""

    shutdown_timeout: Wait = timedelta(seconds=10)
    """How long requests under way may take to finish when the daemon stops."""

    tls_certificate_file: Path | None = None
    """PEM file with the certificate of this port and its chain. Read again when it changes; if the new file cannot be used, the
    last certificate stays. None: tokens and answers are not encrypted, as inside a cluster behind a NetworkPolicy."""

    tls_key_file: Path | None = None
    """PEM file with the private key of that certificate, without a passphrase."""

    public_url: HttpOrigin | None = None
    """Address at which a person's browser reaches this port, as in `https://kintsugi.example.com`. Messages link to the page of
    their incident there. None: no message has a link."""

    @property
    def is_secure(self) -> bool:
        """Return whether browsers reach this port over TLS."""
        return self.tls_certificate_file is not None or (self.public_url or "").startswith("https://")


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class OperatorSettings:
    """The people who answer."""

    groups: Mapping[ObjectName, Names] = field(default_factory=dict)
    """Groups of operators, by name: `approvers` of a rule or runbook may name a group. The members are names in
    `server.operatorTokenFiles`."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class AlertmanagerSettings:
    """The tokens of Alertmanager's webhooks, and the API that is polled for alerts that they did not deliver."""

    token_files: Paths = ()
    """Files with the bearer tokens of the webhook, one per line. All of them are valid, so that a token can be rotated
    without a refused (and therefore lost) delivery. Read again when they change."""

    url: HttpUrl | None = None
    """Address of Alertmanager's API, as in http://alertmanager.monitoring:9093. None: Alertmanager is not polled, and a lost
    delivery stays unknown."""

    url_token_file: Path | None = None
    """File with the bearer token for that address, if one is required."""

    poll_interval: Wait = timedelta(seconds=30)
    """How often the firing alerts are polled. A lost delivery is found within this time."""

    poll_timeout: Wait = timedelta(seconds=10)
    """How long one such request may take."""

    reopen_after: Wait = timedelta(minutes=10)
    """How long a firing delivery with the old start time is provisional if it arrives after the alert's end. If no further
    resolved delivery arrives by then, the alert fires again and is evaluated. Alertmanager retries one delivery for its
    `group_interval` (Default: 5m) and reports an end within another: set this above twice that value. Not scaled by
    `durations`, because it follows Alertmanager's clock."""

    stale_after: Wait = timedelta(hours=13)
    """When a firing alert counts as over because it was not repeated, if no `url` is set. The alert is reported as stale, not
    as resolved. The default is three times Alertmanager's default repeat_interval of 4 h, plus an hour; set more than three
    times your longest one. An alert of an open incident never ends this way."""

    receiver: str = "kintsugi"
    """Name of Kintsugi's receiver in Alertmanager's configuration; only alerts of this receiver are polled."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class PrometheusSettings:
    """The Prometheus that runbooks ask for metrics."""

    url: HttpUrl | None = None
    """Address of Prometheus, as in http://prometheus.monitoring:9090; runbooks read it as `prometheus.url`. None: the value is ""
    there, steps that watch metrics are left out, and the end of a run names the unwatched metrics."""


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
    """Requests per second to the API server, over time. Reads wait for this limit; changes count but do not wait; watches are exempt."""

    burst: Count = 100
    """Requests that may be sent at once after a quiet time."""

    stale_after: Wait = timedelta(seconds=90)
    """When a watch whose bookmarks stay away is too old for decisions. A watch that sends none is opened again after 150 s."""

    notify_after: Wait = timedelta(minutes=2)
    """How long the observed state may be in doubt before an incident of its own notifies a person: a watch that is too old, an
    API that does not answer, nodes that do not report. The incident closes after the same time without doubt. Nothing is
    changed from the first moment of doubt on; most doubts are over within this time."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class LedgerSettings:
    """The ledger, in which every change is written before it is made."""

    url: str = "sqlite:////var/lib/kintsugi/ledger.db"
    """Database: `sqlite:///PATH` (one replica) or `postgresql://USER@HOST/NAME`."""

    retention: Wait = timedelta(days=90)
    """How long closed incidents are kept. Open incidents, and records that a guard still counts, stay longer."""

    encryption_key_file: Path | None = None
    """File with keys, one per line: 32 bytes in base64. The first key encrypts secrets that an undo must write back and that no
    revision contains, and possible secrets in each workload's last good template. All keys decrypt. The file is read each
    time, so that keys are rotated without a restart: put the new key above the old one. None: such a change is refused, and
    the possible secrets of such a template are left out."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class GuardSettings:
    """Limits on what may be done; durations are scaled by `durations`."""

    protected_namespaces: Namespaces = frozenset()
    """Further namespaces in which nothing is ever changed, besides kube-system, kube-public, kube-node-lease and the
    daemon's own, which always stay protected. Comma-separated in a variable."""

    change_kinds: KindNames = frozenset()
    """Types of objects that are not built into Kintsugi and that steps may label, annotate, patch and scale, as in
    `certificates.cert-manager.io`: only objects in the namespace of the step's service. The chart sets this from `rbac.changeKinds`,
    with the rights. Default: no such type. Comma-separated in a variable."""

    cooldown_max: Wait = timedelta(hours=2)
    """The longest cooldown. A rule's own cooldown doubles after each run that did not help, up to this limit."""

    failures: Count = 3
    """Consecutive runs that did not help, after which no run starts for a service during `failuresPause`."""

    failures_pause: Wait = timedelta(hours=1)
    """How long no run starts for such a service."""

    recoveries: Annotated[int, Field(ge=2, le=20)] = 3
    """Recoveries of one service by one runbook within `recoveriesWindow`, after which the problem counts as recurring: a
    person is notified once instead, and the runbook is not started for as long as that window. Two may be chance."""

    recoveries_window: Wait = timedelta(hours=4)
    """The time over which recoveries are counted: half a shift, so that the notified person still knows the earlier changes."""

    recoveries_pause_max: Wait = timedelta(hours=24)
    """The longest such rest. The rest doubles if the problem returns within the window after the rest. A remedy may still
    be tried once a day."""

    budget: Count = 20
    """Changes that may be made in one namespace within `budgetWindow`, by all rules together."""

    budget_window: Wait = timedelta(hours=1)
    """The time over which the budget is counted."""

    max_unavailable: Percentage = "50%"
    """Share of a service's pods, rounded up, that may be unavailable when a pod that serves is deleted: the `maxUnavailable` of a
    PodDisruptionBudget. The next deletion waits until other pods are ready again. A pod that does not serve is exempt."""

    max_concurrent_services: Count = 3
    """Services that may be under recovery at one time."""

    max_concurrent_services_per_namespace: Count | None = None
    """Services of one namespace that may be under recovery at one time. Default: as many as in the cluster."""

    breaker_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of nodes that do not report, or of unrelated services that are unhealthy without a reported reason. Above this
    share, the observer is suspected, and not the nodes or services."""

    hold_limit: Wait = timedelta(minutes=15)
    """How long a run waits for the recovery of its service's upstreams before a person is notified."""

    serving_for: Wait = timedelta(seconds=30)
    """How long an upstream must serve again without interruption before its dependents stop waiting: as long as the time until
    a waiting signal is re-evaluated. A flapping upstream releases no dependent."""

    approval_expiry: Wait = timedelta(minutes=30)
    """How long a question to a person stays open."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class WatchdogSettings:
    """The terms by which a run counts as helpful or not; durations are scaled by `durations`."""

    verify: Wait = timedelta(minutes=2)
    """The least time that a service must stay healthy to count as recovered."""

    good_after: Wait = timedelta(minutes=10)
    """How long a service must have been well with a new revision, its checks met and its endpoints ready without a break, before
    that revision counts as good for a rollback. A revision whose pods were ready for as long before the start is adopted.
    A revision that fails by itself within six times as long is no longer good."""

    alert_lag: Wait = timedelta(minutes=15)
    """How long an alert may continue to fire after its service is healthy."""

    failing_for: Wait = timedelta(minutes=3)
    """How long a service must have failed without interruption before its rollback starts by itself."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class S3Settings:
    """
    The place of backups; values that are not set here are found by the usual chain of AWS (a role of the service
    account).
    """

    endpoint: HttpUrl | None = None
    """Address of an S3 server that is not AWS's own, as in https://s3.example.com:9000."""

    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] | None = None
    """Region of the bucket, if the server requires one."""

    credentials: ObjectName | None = None
    """Secret in the service's namespace with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and optionally
    AWS_SESSION_TOKEN. The daemon passes the Secret's name to the worker and never reads the Secret."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class RestoreSettings:
    """The Jobs that fetch backups and restore them. They run in the namespace of the service that is restored."""

    image: ImageName | None = None
    """Image of the workers: the daemon's own. The variable KINTSUGI_IMAGE in the daemon's manifest sets it, too.
    None: backups cannot be fetched or restored, and a step that needs a worker fails with that reason."""

    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When a node pulls that image."""

    existing_claim: ObjectName | None = None
    """PersistentVolumeClaim in the service's namespace that backups are fetched into. None: Kintsugi creates one
    for each run and deletes it with the Job."""

    volume_size: Quantity = "20Gi"
    """Size of the created claim: the largest backup and a tenth must fit. A backup that does not fit is skipped, and the
    report names it."""

    storage_class_name: ObjectName | None = None
    """Storage class of the created claim. None: the cluster's default storage class."""

    service_account_name: ObjectName | None = None
    """Service account of the workers, for a cloud's credentials. None: workers get no token. The
    account needs no right in the cluster and should have none."""

    s3: S3Settings = field(default_factory=S3Settings)

    cpu: Quantity = "250m"
    """CPU that a worker requests. There is no CPU limit, because a restore is limited by other resources."""

    memory: Quantity = "512Mi"
    """Memory request and limit of a worker. A worker streams, so a larger backup needs no more memory."""

    drill_image: ImageName | None = None
    """Image of the PostgreSQL server that a drill restores into. None: the image of the service's own database pod."""

    drill_ephemeral_storage: Quantity = "20Gi"
    """Request and limit of the node's disk for a drill's database: about twice the size of the live database."""

    drill_memory: Quantity = "1Gi"
    """Memory request and limit of a drill's server."""

    start_timeout: Wait = timedelta(minutes=10)
    """How long a worker may take until it runs: to be scheduled, to have its volume and its image. After that its Job is
    ended, with the reason from the cluster's Events."""

    active_deadline: Wait = timedelta(hours=12)
    """How long a worker may run in total; then Kubernetes ends the worker, even without a daemon. A step's own `timeout`
    ends a worker without progress."""

    ttl_after_finished: Wait = timedelta(days=7)
    """How long an ended Job, its log and its created claim are kept. A fetched backup must still exist when a person
    approves its restore."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class NotificationSettings:
    """The notification of people."""

    url: HttpUrl | None = None
    """Address that each notice is posted to as JSON. None: notices wait in the ledger, where people can read them."""

    token_file: Path | None = None
    """File with the bearer token for that address; read for each notice."""

    slack_token_file: Path | None = None
    """File with the bot token of a Slack app (`xoxb-…`), with which routes to Slack send messages; read for each call."""

    slack_app_token_file: Path | None = None
    """File with the app token of that app (`xapp-…`), with which the buttons of messages are answered by Socket Mode. None:
    messages have no buttons."""

    slack_members_file: Path | None = None
    """File with the members of Slack who may answer, one per line: `U0123456789: maria`, a member's id and the name of an
    operator. Read again for each answer."""

    slack_url: HttpUrl = "https://slack.com/api"
    """Address of Slack's API."""

    destinations_file: Path | None = None
    """File with destinations of Apprise, one per line: `NAME: URL`, as in `team-mail: mailtos://…`. Routes name them. Read for
    each notice. The addresses are secret."""

    observed: bool = True
    """Whether a person is notified, once per episode of a service, of problems that only rules in mode `observe` see, or that
    the daemon's own mode leaves unrepaired. Default: on, because no other notice reports these problems."""

    timeout: Wait = timedelta(seconds=10)
    """How long one delivery may take."""

    interval: Wait = timedelta(seconds=5)
    """How often the outbox is checked."""

    backoff_max: Wait = timedelta(minutes=15)
    """The longest pause between two attempts of one notice; pauses start at 5 s and double."""

    @property
    def are_sent(self) -> bool:
        """Return whether notices are sent anywhere."""
        return any((self.url, self.slack_token_file, self.destinations_file))


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
    """Directory that replaces the shipped rules and runbooks. None: the shipped ones."""

    additions: Paths = ()
    """Files and folders with documents of your own, added to the shipped ones, or to `directory`. Documents of one kind must
    have different names."""

    example: bool = True
    """Whether the five services of the shipped example and their rules are loaded. Without them, the rules that every service
    gets stay, and the shipped runbooks are a library: runbooks that name a missing service or check are left out, unless one
    of your documents names them. The example needs the package `kintsugi-restore` and is not loaded without it."""

    verbs: Names = frozenset()
    """Verbs of other distributions, by the names of their entry points in the group `kintsugi.verbs`; an installed verb that is
    not named here is not loaded. These verbs run with the daemon's rights (docs/adding-a-verb.md)."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class PageSettings:
    """The pages that a team has written about its alerts. Kintsugi reads by them and changes nothing (docs/import.md)."""

    directory: Path | None = None
    """Directory with Markdown pages, as a Git checkout or a mounted ConfigMap. The page of an alert that no rule matches is used by the
    alert's name. Needs the package `kintsugi-import`. None: no page is used."""

    hosts: HostNames = frozenset()
    """Hosts from which the page in the annotation `runbook_url` of such an alert is fetched, over HTTPS, as in
    `[runbooks.example.com]`. For Markdown files on GitHub, name `raw.githubusercontent.com`. Needs the package `kintsugi-import`.
    Default: none, and no page is fetched."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class HealthSettings:
    """The HTTP port for the kubelet and Prometheus: /healthz, /readyz and /metrics, without a token and without TLS."""

    host: str = "0.0.0.0"  # noqa: S104  the kubelet asks from its node
    """Address to listen on. Default: all addresses; the answers name no host, no user and no object."""

    port: Port = 8081
    """TCP port; 0 selects any free port. Default: 8081, the usual probe port of Kubernetes controllers."""

    max_connections: Count = 64
    """Open connections; one address may use at most half of them. For one more, the connection with the longest idle time is
    closed. A kubelet opens one at a time, a Prometheus keeps one."""

    standstill: Wait = timedelta(seconds=10)
    """How long the event loop may be blocked before /healthz answers 503, by the steady clock. With the probe's three
    failures, the pod is restarted half a minute later. The longest work on the loop takes less than one second."""
