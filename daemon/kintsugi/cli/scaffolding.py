"""`kintsugi init`: reads the workloads that are named from the cluster, and writes a first catalog for them."""

import re
from collections.abc import Sequence
from pathlib import Path

from kintsugi.actions import unstructured
from kintsugi.actions.unstructured import Unstructured
from kintsugi.catalog.scaffold import FoundWorkload, documents, file_names
from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.found_check import check_url
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.output import emit
from kintsugi.cli.stderr import print_note
from kintsugi.cli.validation import validate
from kintsugi.errors import Forbidden, NotFound, UsageError
from kintsugi.kube.client import KubeClient
from kintsugi.model.services import WorkloadRef
from kintsugi.objects.kept import LabelSelector, Object
from kintsugi.objects.owners import managers
from kintsugi.objects.selectors import selector_of
from kintsugi.settings import KubeSettings
from kubeobjects.resources import DAEMONSETS, DEPLOYMENTS, SERVICES, STATEFULSETS, find

_WORKLOADS = (DEPLOYMENTS, STATEFULSETS, DAEMONSETS)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_KNOWN = ", ".join(f"{each.singular}/NAME" for each in _WORKLOADS)


class InitErrors(UsageError):
    """A first catalog cannot be written; `problems` are a line each, and nothing was written."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


async def init(
    folder: Path, workloads: Sequence[str], settings: KubeSettings, *, namespace: str, output: OutputFormat
) -> ExitCode:
    """
    Write one file a workload, and check the folder as the daemon would.

    Raises InitErrors with all that is in the way, KubeError where the cluster cannot be asked.
    """
    asked = {text: _workload(text) for text in workloads}
    problems = [f"{text!r}: write one of {_KNOWN}" for text, each in asked.items() if each is None]
    known = list(dict.fromkeys(each for each in asked.values() if each is not None))
    files = {each: folder / f"{name}.yaml" for each, name in zip(known, file_names(known), strict=True)}
    problems += [f"{file} is there already: it is not overwritten" for file in files.values() if file.exists()]
    async with KubeClient.connect(settings) as kube:
        services = await _services(kube, namespace)
        found = [await _read(kube, each, namespace, services) for each in known]
    problems += [each for each in found if isinstance(each, str)]
    if problems:
        raise InitErrors(problems)
    for each in found:
        assert isinstance(each, FoundWorkload), each
        _write(files[each.workload], documents(each, files[each.workload].stem))
    written = [str(file) for file in files.values()]
    if output is OutputFormat.JSON:
        emit({"written": written})
        return ExitCode.DONE
    for name in written:
        print_note(f"wrote {name}")
    return validate([folder], output, with_shipped=True)


def _workload(text: str) -> WorkloadRef | None:
    """Read TYPE/NAME; None for what is none."""
    word, _, name = text.partition("/")
    resource = find(word)
    if resource not in _WORKLOADS or not _NAME.fullmatch(name):
        return None
    return WorkloadRef(resource=resource, name=name)


async def _services(kube: KubeClient, namespace: str) -> Sequence[Unstructured]:
    """Return the Services of a namespace; none where they may not be read, for a check is only a proposal."""
    try:
        return (await kube.list(SERVICES, namespace)).items
    except Forbidden:
        return ()


async def _read(
    kube: KubeClient, workload: WorkloadRef, namespace: str, services: Sequence[Unstructured]
) -> FoundWorkload | str:
    """Return a workload of the cluster, or what is wrong with it."""
    try:
        obj = await kube.get(workload.resource, workload.name, namespace)
    except NotFound:
        return f"{workload} is not in the namespace {namespace}: say with -n in which it is"
    selector = unstructured.convert(unstructured.nested_map(obj, "spec", "selector"), LabelSelector)
    try:
        chosen = str(selector_of(selector))
    except UsageError as error:
        return f"{workload}: {error}"
    owners = managers(unstructured.convert(obj, Object).metadata)
    return FoundWorkload(
        workload=workload,
        namespace=namespace,
        selector=chosen,
        managers=tuple(map(str, owners)),
        check=check_url(obj, services),
    )


def _write(file: Path, content: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(content)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
