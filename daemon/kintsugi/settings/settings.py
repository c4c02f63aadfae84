"""All settings together, and the arithmetic between them that is checked before anything starts."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from kintsugi.durations import format_duration
from kintsugi.encryption import read_keys
from kintsugi.settings.fields import STRICT, ObjectName, snake
from kintsugi.settings.sections import (
    AlertmanagerSettings,
    CatalogSettings,
    GuardSettings,
    HealthSettings,
    KubeSettings,
    LedgerSettings,
    NotificationSettings,
    OperatorSettings,
    PageSettings,
    PrometheusSettings,
    RestoreSettings,
    ServerSettings,
    TelemetrySettings,
    WatchdogSettings,
)
from kintsugi.tokens import read_tokens

ModeWord = Literal["observe", "approve", "auto"]

CLUSTER_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""The namespaces that every cluster lives on: no setting takes them out."""

WEBHOOK, OPERATORS = "alertmanager.tokenFiles", "server.operatorTokenFiles"
"""The settings that name files of tokens; those of operators may have names."""

_Section = TypeVar("_Section", GuardSettings, WatchdogSettings)


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class Settings:
    """The settings of this daemon; made by `load` and never changed afterwards."""

    mode: ModeWord = "observe"
    """How far any rule may go: `observe` only reports, `approve` asks first, `auto` acts. The lower of this and the
    rule's own mode counts. Default: `observe`; a new installation changes nothing until a person sets another mode."""

    durations: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Factor on every duration of all rules and runbooks, of what counts as healthy (the 2m that a pod may take to become
    ready), and of `guards` and `watchdog`; never on clocks, leases and requests. For demonstrations and tests; a value
    other than 1 causes a warning at start."""

    deadlines: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Factor, besides `durations`, on what ends a wait for the cluster: a step's `within` and `timeout`, a command's
    `--timeout`, `rollback.after`, and a run's wait for its diagnosis. A value above 1 suits a cluster that is slower than expected by a runbook's author."""

    namespace: ObjectName = "kintsugi"
    """The namespace that the daemon itself runs in; protected like those of the cluster. In a pod it is read from the file
    `namespace` of the service account, whatever stands here, and another one here is refused."""

    cluster_name: Annotated[str, Field(max_length=100)] = ""
    """Name of the cluster, as people know it: it stands in each notice and incident, in the console and in the metric
    `kintsugi_info`. Default: the context of the kubeconfig; none in a pod."""

    server: ServerSettings = field(default_factory=ServerSettings)
    operators: OperatorSettings = field(default_factory=OperatorSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    alertmanager: AlertmanagerSettings = field(default_factory=AlertmanagerSettings)
    prometheus: PrometheusSettings = field(default_factory=PrometheusSettings)
    kube: KubeSettings = field(default_factory=KubeSettings)
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    guards: GuardSettings = field(default_factory=GuardSettings)
    watchdog: WatchdogSettings = field(default_factory=WatchdogSettings)
    restore: RestoreSettings = field(default_factory=RestoreSettings)
    notifications: NotificationSettings = field(default_factory=NotificationSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    catalog: CatalogSettings = field(default_factory=CatalogSettings)
    pages: PageSettings = field(default_factory=PageSettings)

    @property
    def protected_namespaces(self) -> frozenset[str]:
        """Name the namespaces in which nothing is ever changed: the cluster's, our own, and those that were added."""
        return CLUSTER_NAMESPACES | self.guards.protected_namespaces | {self.namespace}

    def scaled(self) -> "Settings":
        """Multiply the durations of `guards` and `watchdog` by `durations`; those about machines stay as they are."""
        return replace(
            self, guards=_scaled(self.guards, self.durations), watchdog=_scaled(self.watchdog, self.durations)
        )


def _scaled(section: _Section, factor: float) -> _Section:
    values: dict[str, Any] = {each.name: getattr(section, each.name) for each in fields(section)}
    scaled = {name: value * factor for name, value in values.items() if isinstance(value, timedelta)}
    return type(section)(**{**values, **scaled})


class _Pair(NamedTuple):
    """Two durations of which the first must be the shorter, and why."""

    shorter: str
    longer: str
    why: str


_PAIRS = (
    _Pair("kube.connectTimeout", "kube.requestTimeout", "an attempt must end before its request does"),
    _Pair("kube.readTimeout", "kube.requestTimeout", "an attempt must end before its request does"),
    _Pair("kube.requestTimeout", "kube.staleAfter", "one slow request must not make the view stale"),
    _Pair("alertmanager.pollTimeout", "alertmanager.pollInterval", "a poll must end before the next begins"),
    _Pair("server.commitWait", "server.bodyTimeout", "an answer must not take longer than the question"),
    _Pair("restore.startTimeout", "restore.activeDeadline", "a worker must start before its time is over"),
    _Pair("guards.budgetWindow", "ledger.retention", "changes that count must not be forgotten"),
    _Pair("guards.cooldownMax", "ledger.retention", "runs that count must not be forgotten"),
    _Pair("guards.failuresPause", "ledger.retention", "runs that count must not be forgotten"),
    _Pair("watchdog.verify", "watchdog.alertLag", "an alert clears only after its service is healthy"),
)


def check_deadlines(settings: Settings) -> dict[str, str]:
    """Find deadlines that contradict each other: the setting's dotted name, and what is wrong with it."""
    wrong = {}
    for pair in _PAIRS:
        shorter, longer = _value(settings, pair.shorter), _value(settings, pair.longer)
        if shorter >= longer:
            wrong[pair.shorter] = (
                f"{format_duration(shorter)} is not below {pair.longer} ({format_duration(longer)}): {pair.why}"
            )
    return wrong


def check_slots(settings: Settings) -> dict[str, str]:
    """Find a limit of one namespace that could never be reached: the setting's dotted name, and what is wrong with it."""
    there, most = settings.guards.max_concurrent_services_per_namespace, settings.guards.max_concurrent_services
    if there is None or there <= most:
        return {}
    wrong = f"{there} is above guards.maxConcurrentServices ({most}): the limit of a namespace must not exceed the limit of the cluster"
    return {"guards.maxConcurrentServicesPerNamespace": wrong}


def own_namespace(settings: Settings, *, given: bool) -> tuple[str, str]:
    """
    Return the namespace that the daemon runs in, and what is wrong with the one that the settings name, or "".

    The service account's file is what the cluster itself wrote. With a kubeconfig another cluster may be meant: there the
    settings count, where one was `given` there.
    """
    file = settings.kube.service_account_dir / "namespace"
    elsewhere = settings.kube.kubeconfig is not None
    if not file.is_file() or (elsewhere and given):
        return settings.namespace, ""
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        return settings.namespace, f"{file} cannot be read: {error}; it is the only source of our own namespace"
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", found):
        return (
            settings.namespace,
            f"{file} names no namespace: mount the service account with Kubernetes' default layout",
        )
    if given and found != settings.namespace:
        wrong = f"{settings.namespace}, but this pod runs in {found} ({file})"
        return found, f"{wrong}: remove the setting, and protect further namespaces with guards.protectedNamespaces"
    return found, ""


def check_watchdogs(settings: Settings, watchdogs: Mapping[str, timedelta]) -> dict[str, str]:
    """Find runbooks (name to deadline) whose watchdog would act before a recovery could even be seen."""
    verify = settings.watchdog.verify
    return {
        name: f"its rollback starts after {format_duration(after)}, but a recovery is verified for watchdog.verify ({format_duration(verify)})"
        for name, after in watchdogs.items()
        if after <= verify
    }


def check_ports(settings: Settings) -> dict[str, str]:
    """Find ports that contradict each other, and a certificate without its key."""
    server, health = settings.server, settings.health
    wrong = {}
    if server.port and server.port == health.port:
        wrong["health.port"] = (
            f"{health.port} is also server.port: health and metrics need their own port, such as 8081, so that they are "
            "answered when the other port is full"
        )
    if (server.tls_certificate_file is None) != (server.tls_key_file is None):
        missing, given = "tlsKeyFile", "tlsCertificateFile"
        if server.tls_certificate_file is None:
            missing, given = given, missing
        wrong[f"server.{missing}"] = f"not set, but server.{given} is: TLS needs both settings"
    return wrong


def check_files(settings: Settings, exists: Callable[[Path], bool] = Path.is_file) -> dict[str, str]:
    """Find files that are named but not there, and a webhook that would be open to anyone unasked."""
    wrong = {
        key: f"{path} is not a file: the file must contain a token"
        for key, paths in _token_files(settings).items()
        for path in paths
        if not exists(path)
    }
    for name, path in (
        ("tlsCertificateFile", settings.server.tls_certificate_file),
        ("tlsKeyFile", settings.server.tls_key_file),
    ):
        if path is not None and not exists(path):
            wrong[f"server.{name}"] = f"{path} is not a file: the file must be in PEM format"
    if not settings.alertmanager.token_files and not settings.server.insecure_no_token:
        wrong[WEBHOOK] = (
            "no token: anyone who reaches the port could start runbooks. Name a file with a token (--webhook-tokens FILE), "
            "or set --insecure-no-token"
        )
    return {**check_ports(settings), **wrong}


def check_tokens(settings: Settings) -> Iterator[tuple[str, str]]:
    """
    Yield the problems of the existing token files: the setting's dotted name, and the problem.

    A token may be in two files only with the same meaning: a token for delivering alerts cannot be an operator's.
    """
    given: dict[bytes, tuple[str, str]] = {}
    for key, paths in _token_files(settings).items():
        for path in filter(Path.is_file, paths):
            try:
                read = read_tokens(path.read_bytes(), named=key == OPERATORS)
            except OSError as error:
                yield key, f"{path}: it cannot be read: {error.strerror or error}"
                continue
            yield from ((key, f"{path}: {problem}") for problem in read.problems)
            for line in read.lines:
                what = (key, line.name)
                if given.setdefault(line.token, what) != what:
                    whose = f"the token of {line.name}" if line.name else "a token of it"
                    yield (
                        key,
                        f"{path}: {whose} is also in another file for another client: give each client its own token",
                    )


def check_keys(settings: Settings) -> Iterator[tuple[str, str]]:
    """Find everything that is wrong with the file of keys: the setting's dotted name, and what it is."""
    file, name = settings.ledger.encryption_key_file, "ledger.encryptionKeyFile"
    if file is None:
        return
    try:
        problems = read_keys(file.read_bytes()).problems
    except OSError as error:
        problems = (
            f"it cannot be read: {error.strerror or error}; the file must contain keys, as `openssl rand -base64 32` creates them",
        )
    yield from ((name, f"{file}: {problem}") for problem in problems)


def _token_files(settings: Settings) -> Mapping[str, tuple[Path, ...]]:
    """List the files of tokens by the setting that names them."""
    return {WEBHOOK: settings.alertmanager.token_files, OPERATORS: settings.server.operator_token_files}


def _value(settings: Settings, dotted: str) -> timedelta:
    """Read `section.field`."""
    section, name = dotted.split(".")
    value = getattr(getattr(settings, section), snake(name))
    if not isinstance(value, timedelta):
        raise TypeError(f"{dotted} is not a duration")
    return value
