"""`kintsugi init`: reads workloads from the cluster, those that are named or all that there are, and writes a Service for each."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from kintsugi.actions import api_objects
from kintsugi.catalog.scaffold import KINDS_FILE, FoundWorkload, document, file_names, kinds_document, upstreams_of
from kintsugi.cli.documents import validate, write
from kintsugi.cli.errors import ExitCode, print_note
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.output import emit, table
from kintsugi.commands.selectors import selector_of
from kintsugi.errors import Forbidden, KubeError, NotFound, UsageError
from kintsugi.kube.client import KubeClient
from kintsugi.kube.discovery import read_kinds
from kintsugi.model.hosts import service_of
from kintsugi.model.services import WORKLOAD_FORMS, WorkloadRef
from kintsugi.model.views import DerivedCheck, Workload
from kintsugi.settings import KubeSettings
from kintsugi.settings.settings import CLUSTER_NAMESPACES
from kintsugi.views.derived_checks import routed_checks
from kintsugi.views.service_objects import leading_services
from kubediagnosis.object_facts import hosts_of
from kubeobjects import discovery, unstructured
from kubeobjects.kept import KEPT, KubeService, Object
from kubeobjects.metadata import SUBDOMAIN
from kubeobjects.owners import managers
from kubeobjects.resources import CRONJOBS, PODS, SERVICES, WORKLOADS, Resource
from kubeobjects.unstructured import Unstructured

_HOOK = "helm.sh/hook"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadSelection:
    """
    The workloads to write the catalog for: the named ones, else all of a namespace (None: of all) that a selector
    matches.
    """

    workloads: Sequence[str] = ()
    namespace: str | None = None
    selector: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A workload for which nothing is written, and why."""

    workload: str
    namespace: str
    why: str


class InitErrors(UsageError):
    """A first catalog cannot be written; `problems` are a line each, and nothing was written."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


async def init(folder: Path, wanted: WorkloadSelection, settings: KubeSettings, output: OutputFormat) -> ExitCode:
    """
    Write one file a workload, and check the folder as the daemon would.

    Raises InitErrors with all that is in the way, KubeError where the cluster cannot be asked.
    """
    left_out: list[LeftOut] = []
    async with KubeClient.connect(settings) as kube:
        print_note(f"The cluster is {kube.server} ({kube.source})")
        if wanted.workloads:
            found = await _named(kube, wanted, folder)
        else:
            found, left_out = await _all(kube, wanted)
    kinds = await _kinds(settings)
    names = file_names([(each.namespace, each.workload) for each in found])
    files = {folder / f"{name}.yaml": each for name, each in zip(names, found, strict=True)}
    there = {file: files.pop(file) for file in list(files) if file.exists()}
    left_out += [
        LeftOut(workload=str(each.workload), namespace=each.namespace, why=f"{file} already exists")
        for file, each in there.items()
    ]
    by_name = dict(zip(names, found, strict=True))
    for file, each in files.items():
        write(file, document(each, file.stem, str(folder), upstreams_of(each, by_name)), mode="x")
    _write_kinds(folder / KINDS_FILE, kinds)
    return _report(folder, files, left_out, output)


async def _kinds(settings: KubeSettings) -> tuple[Resource, ...]:
    """Read the kinds that are not built in; none, with a note, where the server does not list them."""
    try:
        return await read_kinds(settings)
    except KubeError as error:
        print_note(f"the types of the cluster that are not built in are left out: {error}")
        return ()


def _write_kinds(file: Path, kinds: Sequence[Resource]) -> None:
    """Write the kinds of the cluster anew; a file of that name that is something else stays, with a note."""
    if not kinds:
        return
    if file.exists() and discovery.KIND.encode() not in file.read_bytes():
        print_note(f"{file} already exists: the types of the cluster that are not built in are left out")
        return
    write(file, kinds_document(kinds))
    print_note(f"{file}: the types of the cluster that are not built in: steps may name them")


async def _named(kube: KubeClient, wanted: WorkloadSelection, folder: Path) -> list[FoundWorkload]:
    """Read the workloads that are named. Raises InitErrors with all that is in the way of a file for each."""
    namespace = wanted.namespace or "default"
    asked = {text: _workload(text) for text in wanted.workloads}
    known = list(dict.fromkeys(each for each in asked.values() if each is not None))
    files = [folder / f"{name}.yaml" for name in file_names([(namespace, each) for each in known])]
    problems = [f"{text!r}: write one of {WORKLOAD_FORMS}" for text, each in asked.items() if each is None]
    problems += [f"{file} already exists and is not overwritten" for file in files if file.exists()]
    services = await _services(kube, namespace)
    found: list[FoundWorkload] = []
    for each in known:
        try:
            found.append(found_workload(each, await kube.get(each.resource, each.name, namespace), services))
        except NotFound:
            problems.append(
                f"{each} does not exist in the namespace {namespace}: give the workload's namespace with -n"
            )
        except UsageError as error:
            problems.append(f"{each}: {error}")
    if problems:
        raise InitErrors(problems)
    return found


async def _all(kube: KubeClient, wanted: WorkloadSelection) -> tuple[list[FoundWorkload], list[LeftOut]]:
    """
    Read all workloads, and return those that are left out separately. Raises InitErrors where there is no workload.
    """
    services = await _services(kube, wanted.namespace)
    found: list[FoundWorkload] = []
    left_out: list[LeftOut] = []
    for resource in WORKLOADS:
        for obj in (await kube.list(resource, wanted.namespace, labels=wanted.selector)).items:
            workload = WorkloadRef(resource=resource, name=unstructured.name(obj))
            try:
                if not (why := _not_ours(obj)):
                    found.append(found_workload(workload, obj, services))
            except UsageError as error:
                why = str(error)
            if why:
                left_out.append(LeftOut(workload=str(workload), namespace=_namespace(obj), why=why))
    left_out += await _passed_over(kube, wanted)
    if not found and not left_out:
        where = f"in the namespace {wanted.namespace}" if wanted.namespace else "in any namespace"
        which = f" that {wanted.selector!r} selects" if wanted.selector else ""
        raise InitErrors([f"there is no Deployment, StatefulSet or DaemonSet {where}{which}"])
    return found, left_out


async def _passed_over(kube: KubeClient, wanted: WorkloadSelection) -> list[LeftOut]:
    """Return what runs and can be no service: CronJobs, and pods without a controller. What may not be read is not listed."""
    found: list[LeftOut] = []
    for resource, why in (
        (CRONJOBS, "a CronJob is no service: its pods are meant to end"),
        (PODS, "no controller would make the pod again"),
    ):
        try:
            items = (await kube.list(resource, wanted.namespace, labels=wanted.selector)).items
        except Forbidden:
            continue
        for obj in items:
            metadata = api_objects.convert(obj, Object).metadata
            is_alone = resource is CRONJOBS or not any(each.controller for each in metadata.owner_references)
            if is_alone and metadata.namespace not in CLUSTER_NAMESPACES:
                what = f"{resource.singular}/{metadata.name}"
                found.append(LeftOut(workload=what, namespace=metadata.namespace, why=why))
    return found


def _not_ours(obj: Unstructured) -> str:
    """Return the reason for which an unnamed workload is left out, "" for none."""
    metadata = api_objects.convert(obj, Object).metadata
    if metadata.namespace in CLUSTER_NAMESPACES:
        return f"{metadata.namespace} is a namespace of the cluster itself; Kintsugi changes nothing there"
    if _HOOK in metadata.annotations:
        return "the workload is a Helm hook, which Helm removes again"
    owner = next((each for each in metadata.owner_references if each.controller), None)
    return f"{owner.kind} {owner.name} manages the workload" if owner is not None else ""


def _workload(text: str) -> WorkloadRef | None:
    """Read TYPE/NAME; None for any other text."""
    found = WorkloadRef.parse(text)
    return found if found is not None and SUBDOMAIN.fullmatch(found.name) else None


async def _services(kube: KubeClient, namespace: str | None) -> Sequence[KubeService]:
    """Return the Kubernetes Services; none where they may not be read, for a check is only a proposal."""
    try:
        return [api_objects.convert(each, KubeService) for each in (await kube.list(SERVICES, namespace)).items]
    except Forbidden:
        return ()


def found_workload(workload: WorkloadRef, obj: Unstructured, services: Sequence[KubeService]) -> FoundWorkload:
    """Return what is known of a workload. Raises UsageError where its name is not one, or its selector cannot be read."""
    if not SUBDOMAIN.fullmatch(workload.name) or not SUBDOMAIN.fullmatch(_namespace(obj)):
        raise UsageError("its name or namespace is not a name of Kubernetes")
    found = api_objects.convert(obj, KEPT[workload.resource])
    assert isinstance(found, Workload), "a service is of a workload"
    leading = leading_services(found, [each for each in services if each.metadata.namespace == _namespace(obj)])
    return FoundWorkload(
        workload=workload,
        namespace=_namespace(obj),
        selector=str(selector_of(found.spec.selector)),
        managers=tuple(map(str, managers(found.metadata))),
        kube_services=tuple(each.metadata.name for each in leading),
        hosts=frozenset(filter(None, (service_of(each.host_in(_namespace(obj))) for each in hosts_of(obj)))),
        check=next(filter(None, map(partial(_url, _namespace(obj)), routed_checks(found, leading))), ""),
    )


def _url(namespace: str, check: DerivedCheck) -> str:
    """Return the URL of a check by the name of its Service, "" where that is none."""
    host = f"{check.service}.{namespace}"
    return check.url_at(host) if str(service_of(host)) == host else ""


def _namespace(obj: Unstructured) -> str:
    return unstructured.nested_string(obj, "metadata", "namespace")


def _report(
    folder: Path, files: dict[Path, FoundWorkload], left_out: Sequence[LeftOut], output: OutputFormat
) -> ExitCode:
    """Print what would be watched, what was left out and why, and whether the folder is right."""
    if output is OutputFormat.JSON:
        emit({"written": list(map(str, files)), "left_out": [asdict(each) for each in left_out]})
        return ExitCode.DONE
    if files:
        rows = (
            (str(file), f"{each.namespace}/{each.workload}", ", ".join(each.kube_services) or "-", each.check or "-")
            for file, each in files.items()
        )
        table(("FILE", "WORKLOAD", "SERVICE", "CHECK"), rows)
    for each in left_out:
        print_note(f"left out {each.namespace}/{each.workload}: {each.why}")
    return validate([folder], output) if folder.exists() else ExitCode.DONE
