"""
The words by which Kubernetes, container runtimes and registries are understood, in one place, each with its source.

Everything here is a text that a program wrote and that has no field of its own; nothing else of the diagnosis looks into texts.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from kubediagnosis.causes import RegistryAnswer

_REGISTRY: Sequence[tuple[RegistryAnswer, str]] = (
    # kubelet, pkg/kubelet/images/types.go: ErrInvalidImageName; distribution/reference: ErrReferenceInvalidFormat
    (RegistryAnswer.INVALID_NAME, r"InvalidImageName|couldn't parse image|invalid reference format"),
    # containerd, core/remotes/docker/errcode.go: TOOMANYREQUESTS; HTTP 429
    (RegistryAnswer.BUSY, r"toomanyrequests|429 Too Many Requests|rate limit"),
    # HTTP 5xx, as containerd's resolver passes it on: "unexpected status from HEAD request to …: 503 Service Unavailable"
    (
        RegistryAnswer.UNREACHABLE,
        r"\b50[0234] (?:Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time-?out)",
    ),
    # Go's net and net/http: what a registry that is not reached is told by
    (
        RegistryAnswer.UNREACHABLE,
        (
            r"connection refused|no such host|i/o timeout|TLS handshake timeout|deadline exceeded|connection reset"
            r"|no route to host|network is unreachable|server misbehaving|\bEOF\b|request canceled"
        ),
    ),
    # HTTP 401; containerd, core/remotes/docker/auth: "no basic auth credentials"
    (
        RegistryAnswer.UNAUTHORIZED,
        r"401 Unauthorized|no basic auth credentials|authentication required|\bunauthorized\b",
    ),
    # containerd, core/remotes/docker/resolver.go: "pull access denied, repository does not exist or may require authorization"
    (RegistryAnswer.DENIED, r"403 Forbidden|pull access denied|insufficient_scope|authorization failed|\bdenied\b"),
    # containerd, errdefs.ErrNotFound; distribution, registry/api/v2: MANIFEST_UNKNOWN, NAME_UNKNOWN
    (RegistryAnswer.NOT_FOUND, r"\bnot found\b|manifest unknown|name unknown|404 Not Found"),
)


def registry_answer(text: str) -> RegistryAnswer:
    """Return what a pull's error says; a busy registry or one that is not reached is known before all else."""
    return next(
        (answer for answer, pattern in _REGISTRY if re.search(pattern, text, re.IGNORECASE)), RegistryAnswer.OTHER
    )


# kubelet, pkg/kubelet/images/image_manager.go: "Back-off pulling image %q" has no reason; newer ones add ": ErrImagePull: …"
BACK_OFF_ALONE = re.compile(r'^Back-off pulling image "[^"]*"$')

# kubelet, pkg/kubelet/events: FailedToPullImage is the reason "Failed", with "Failed to pull image %q: %v"
PULL_FAILED = re.compile(r'^Failed to pull image "(?P<image>[^"]*)": (?P<words>.*)', re.DOTALL)

# kubelet, pkg/kubelet/kubelet_pods.go, makePullSecrets: reason FailedToRetrieveImagePullSecret
PULL_SECRETS_GONE = re.compile(r"Unable to retrieve some image pull secrets \((?P<names>[^)]*)\)")

# apimachinery, NewNotFound: `configmap "x" not found` (the kubelet's own), `secrets "x" not found`
_NOT_THERE = re.compile(r'\b(?P<type>configmap|secret)s? "(?P<name>[^"]+)" not found', re.IGNORECASE)
# kubelet, pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables
_NO_KEY = re.compile(
    r"couldn't find key (?P<key>\S+) in (?P<type>ConfigMap|Secret) (?:[^/\s]+/)?(?P<name>\S+)", re.IGNORECASE
)
# kubelet, pkg/volume/configmap and pkg/volume/secret, MakePayload; it names the volume alone
_NO_ITEM = re.compile(
    r'volume "(?P<volume>[^"]+)".*(?:configmap|secret) references non-existent (?:config|secret) key: (?P<key>\S+)'
)


class Missing(StrEnum):
    """The missing part of a ConfigMap or Secret."""

    OBJECT = "object"
    KEY = "key"
    ITEM = "item"


def missing(text: str) -> tuple[Missing, Mapping[str, str]] | None:
    """Return what a kubelet misses, with `type` and `name` (or `volume`) and `key`; None for any other text."""
    for kind, pattern in ((Missing.KEY, _NO_KEY), (Missing.ITEM, _NO_ITEM), (Missing.OBJECT, _NOT_THERE)):
        if found := pattern.search(text):
            return kind, found.groupdict()
    return None


# kubelet, pkg/kubelet/kuberuntime/security_context_others.go, verifyRunAsNonRoot
RUNS_AS_ROOT = re.compile(
    r"runAsNonRoot and image will run as root|runAsUser breaks non-root policy|runAsNonRoot and image has non-numeric user"
)
# runc, libcontainer: the program of a container cannot be run
PROGRAM_NOT_RUN = re.compile(
    r"executable file not found in \$PATH|exec: \"[^\"]*\": (?:stat [^:]*: )?(?:no such file or directory|permission denied|is a directory)"
    r"|exec format error|exec [^:]*: (?:no such file or directory|permission denied)"
)

# kubelet, pkg/kubelet/prober/prober.go: reason Unhealthy, "%s probe failed: %s", "%s probe errored: %s"
_PROBE = re.compile(r"^(?P<probe>Liveness|Readiness|Startup) probe (?:failed|errored[^:]*): (?P<answer>.*)", re.DOTALL)
# kubelet, pkg/kubelet/kuberuntime/kuberuntime_manager.go: reason Killing
_KILLED = re.compile(r"^Container (?P<container>\S+) failed (?P<probe>liveness|startup) probe, will be restarted")


class ProbeType(StrEnum):
    """The type of a container's probe, by its field."""

    LIVENESS = "livenessProbe"
    READINESS = "readinessProbe"
    STARTUP = "startupProbe"


def probe_failed(text: str) -> tuple[ProbeType, str] | None:
    """Return which probe an Unhealthy Event is about, and what was answered to it."""
    found = _PROBE.match(text)
    return (ProbeType(f"{found['probe'].lower()}Probe"), found["answer"].strip()) if found else None


def killed_by_probe(text: str) -> tuple[str, ProbeType] | None:
    """Return which container a Killing Event is about, and which probe it failed; None where it was ended for another reason."""
    found = _KILLED.match(text)
    return (found["container"], ProbeType(f"{found['probe']}Probe")) if found else None


class SchedulerReason(StrEnum):
    """The reason for which a node does not fit a pod, as the scheduler's plugins report it."""

    CPU = "cpu"
    MEMORY = "memory"
    STORAGE = "ephemeral-storage"
    PODS = "pods"
    SELECTOR = "selector"
    POD_AFFINITY = "podAffinity"
    POD_ANTI_AFFINITY = "podAntiAffinity"
    PORTS = "ports"
    VOLUME_NODE = "volume-node"
    CORDONED = "cordoned"
    TAINT = "taint"
    CLAIM_MISSING = "claim-missing"
    CLAIM_UNBOUND = "claim-unbound"


_SCHEDULER_REASONS: Sequence[tuple[SchedulerReason, str]] = (
    # pkg/scheduler/framework/plugins: noderesources (fit.go), "Insufficient %v" and "Too many pods"
    (SchedulerReason.CPU, r"Insufficient cpu"),
    (SchedulerReason.MEMORY, r"Insufficient memory"),
    (SchedulerReason.STORAGE, r"Insufficient ephemeral-storage"),
    (SchedulerReason.PODS, r"Too many pods"),
    # plugin nodeaffinity, in node_affinity.go
    (SchedulerReason.SELECTOR, r"didn't match Pod's node affinity|didn't match node selector"),
    # plugin interpodaffinity, in filtering.go
    (SchedulerReason.POD_ANTI_AFFINITY, r"didn't (?:match|satisfy existing) pods? anti-affinity rules"),
    (SchedulerReason.POD_AFFINITY, r"didn't match pod affinity rules"),
    # plugin nodeports, in node_ports.go
    (SchedulerReason.PORTS, r"didn't have free ports for the requested pod ports"),
    # plugin volumebinding, in binder.go
    (SchedulerReason.VOLUME_NODE, r"volume node affinity conflict|didn't match PersistentVolume's node affinity"),
    (
        SchedulerReason.CLAIM_UNBOUND,
        r"unbound immediate PersistentVolumeClaims|didn't find available persistent volumes to bind",
    ),
    (SchedulerReason.CLAIM_MISSING, r'persistentvolumeclaim "[^"]+" not found'),
    # plugins nodeunschedulable and tainttoleration
    (SchedulerReason.CORDONED, r"node\(s\) were unschedulable|untolerated taint \{node\.kubernetes\.io/unschedulable"),
    (SchedulerReason.TAINT, r"untolerated taint"),
)
CLAIM_NOT_FOUND = re.compile(r'persistentvolumeclaim "(?P<name>[^"]+)" not found')
TAINT = re.compile(r"untolerated taint \{([^:}]+)")


def scheduler_reasons(text: str) -> frozenset[SchedulerReason]:
    """Return every reason that the scheduler names; the reasons after `preemption:` are left out."""
    before_preemption = text.partition(" preemption: ")[0]
    return frozenset(reason for reason, pattern in _SCHEDULER_REASONS if re.search(pattern, before_preemption))


class CreationRefusal(StrEnum):
    """The reason for which a pod is refused before it is created."""

    QUOTA = "quota"
    QUOTA_WANTS = "quota-wants"
    LIMIT_RANGE = "limit-range"
    WEBHOOK_FAILED = "webhook-failed"
    WEBHOOK_EXPIRED = "webhook-expired"
    WEBHOOK_DENIED = "webhook-denied"
    POD_SECURITY = "pod-security"
    SERVICE_ACCOUNT = "service-account"
    OTHER = "other"


_CREATION: Sequence[tuple[CreationRefusal, str]] = (
    # staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go, and pkg/quota/v1/evaluator/core/pods.go
    (CreationRefusal.QUOTA, r"exceeded quota: (?P<name>[^,\s]+), requested: (?P<resource>[^=,\s]+)="),
    (CreationRefusal.QUOTA_WANTS, r"failed quota: (?P<name>[^:\s]+): must specify (?P<resource>[^\s,;]+)"),
    # plugin/pkg/admission/limitranger/admission.go: maxConstraint, minConstraint
    (
        CreationRefusal.LIMIT_RANGE,
        r"(?:maximum|minimum) (?P<resource>\S+) usage per (?P<per>\w+) is \S+ but (?P<bound>limit|request) is",
    ),
    # staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/errors: ErrCallingWebhook, then Go's crypto/x509
    (
        CreationRefusal.WEBHOOK_EXPIRED,
        r'failed calling webhook "(?P<name>[^"]+)".*certificate has expired or is not yet valid: current time \S+ is after',
    ),
    (CreationRefusal.WEBHOOK_FAILED, r'failed calling webhook "(?P<name>[^"]+)"'),
    (CreationRefusal.WEBHOOK_DENIED, r'admission webhook "(?P<name>[^"]+)" denied the request'),
    # staging/src/k8s.io/pod-security-admission/admission/admission.go
    (CreationRefusal.POD_SECURITY, r'violates PodSecurity "(?P<name>[^":]+)'),
    # plugin/pkg/admission/serviceaccount/admission.go
    (CreationRefusal.SERVICE_ACCOUNT, r"error looking up service account [^/\s]+/(?P<name>[^:\s]+)"),
)


def creation_refusal(text: str) -> tuple[CreationRefusal, Mapping[str, str]]:
    """Return why a pod was not made, with `name` and `resource` where the text has them."""
    for refusal, pattern in _CREATION:
        if found := re.search(pattern, text):
            return refusal, found.groupdict()
    return CreationRefusal.OTHER, {}


def of_webhook(text: str) -> bool:
    """Return whether a refusal names a webhook."""
    return creation_refusal(text)[0] in (
        CreationRefusal.WEBHOOK_FAILED,
        CreationRefusal.WEBHOOK_EXPIRED,
        CreationRefusal.WEBHOOK_DENIED,
    )


# kubelet, pkg/volume/util/operationexecutor: reasons FailedMount and FailedAttachVolume; of a claim it is the PersistentVolume's name
_VOLUME_FAILED = re.compile(
    r'(?:MountVolume\.\w+ failed|AttachVolume\.\w+ failed|Multi-Attach error) for volume "(?P<volume>[^"]+)"'
)


def failed_volume(text: str) -> str:
    """Return which volume cannot be attached or mounted, "" where a text does not say that."""
    found = _VOLUME_FAILED.search(text)
    return found["volume"] if found else ""


# strerror(ENOSPC), as every language passes it on
NO_SPACE = re.compile(r"no space left on device|\bENOSPC\b|disk (?:is )?full", re.IGNORECASE)

EVICTED = "Evicted"
"""The kubelet's reason of a pod that it has evicted."""

# kubelet, pkg/kubelet/eviction/helpers.go: "The node was low on resource: memory. "
_LOW_ON = re.compile(
    r"The node was low on resource: (?P<resource>[a-z-]+)|The node had condition: \[(?P<condition>\w+)"
)
_PRESSURE_OF = {
    "memory": "MemoryPressure",
    "ephemeral-storage": "DiskPressure",
    "inodes": "DiskPressure",
    "pids": "PIDPressure",
}


def eviction_pressure(text: str) -> str:
    """Return the condition of a node for which a pod was evicted, "" for any other text."""
    found = _LOW_ON.search(text)
    if found is None:
        return ""
    return found["condition"] or _PRESSURE_OF.get(found["resource"], "")


# kubelet, pkg/kubelet/eviction/eviction_manager.go: what of a pod's own storage was more than its limit
_OWN_LIMITS = (
    (r'Usage of EmptyDir volume "(?P<name>[^"]+)" exceeds the limit', "volumes[{name}].emptyDir.sizeLimit"),
    (
        r"Container (?P<name>\S+) exceeded its local ephemeral storage limit",
        "containers[{name}].resources.limits.ephemeral-storage",
    ),
    (r"Pod ephemeral local storage usage exceeds the total limit of containers", ""),
)


def evicted_by_limit(text: str) -> str | None:
    """Return the template's field of the limit for which a pod was evicted, "" for all limits together, None for any other text."""
    for pattern, field in _OWN_LIMITS:
        if (found := re.search(pattern, text)) is not None:
            return field.format(**found.groupdict())
    return None


# How a name is said not to resolve: Go's net, glibc and musl, Python, Node.js, Java, curl, busybox; with the name where it stands there
_HOST = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)"
_UNRESOLVED = (
    rf"lookup {_HOST}\.?(?: on \S+)?: no such host",
    rf"getaddrinfo ENOTFOUND {_HOST}",
    rf"UnknownHostException: {_HOST}",
    rf"[Cc]ould not resolve host: {_HOST}",
    rf"bad address '{_HOST}(?::\d+)?'",
    rf'could not translate host name "{_HOST}" to address: Name or service not known',
    rf"{_HOST}: (?:Name or service not known|Name does not resolve|no such host)",
)
_RESOLVER_SILENT = re.compile(
    r"lookup \S+ on \S+: (?:read|dial) \S+ .*(?:i/o timeout|connection refused)|lookup \S+: i/o timeout"
    r"|server misbehaving|getaddrinfo EAI_AGAIN"
    r"|Temporary failure in name resolution|[Nn]ame server does not answer|Resolving timed out"
)


# Go's words for SERVFAIL: a name server has answered that it cannot resolve this one name
_SERVFAIL = re.compile(rf"lookup {_HOST}\.?(?: on \S+)?: server misbehaving")


def refused_name(text: str) -> str:
    """Return the name of which a name server says that it cannot resolve it, "" where a text names none."""
    found = _SERVFAIL.search(text)
    return found["host"].rstrip(".") if found else ""


def unresolved(text: str) -> str:
    """Return the name that does not resolve, "" where a text names none."""
    found = next((each for pattern in _UNRESOLVED if (each := re.search(pattern, text))), None)
    return found["host"].rstrip(".") if found else ""


def resolver_silent(text: str) -> bool:
    """Return whether a text says that a name server gives no answer: no name is wrong then."""
    return bool(_RESOLVER_SILENT.search(text))


# Go's crypto/x509, OpenSSL
CERTIFICATE_EXPIRED = re.compile(r"certificate has expired|certificate expired", re.IGNORECASE)

# The words of many languages and frameworks for what went wrong; a line without them is as good as any, and the last one is taken.
_ERROR = re.compile(
    r"\b(?:error|fatal|panic|exception|cannot|could not|failed|failure|refused|denied|missing|invalid)\b", re.IGNORECASE
)


def is_error(line: str) -> bool:
    """Return whether a line of a log says that something went wrong."""
    return bool(_ERROR.search(line))


def error_line(lines: Sequence[str]) -> str:
    """Return the last line of a log that says what went wrong, else the last one that says anything; "" for none."""
    said = [line.strip() for line in lines if line.strip()]
    return next((line for line in reversed(said) if is_error(line)), said[-1] if said else "")
