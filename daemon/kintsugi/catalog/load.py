"""
Loads a catalog: YAML files become one checked, frozen catalog, or all of their problems are raised together.

pydantic's errors about a document become problems for people, each with its place in the file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from typing import Any, TypeVar

from pydantic import ValidationError

from kintsugi.catalog.build import (
    build_notice_route,
    build_patterns,
    build_rule,
    build_runbook,
    build_service,
    digest_of,
    priority_of,
)
from kintsugi.catalog.cross_checks import CrossChecks
from kintsugi.catalog.document_builder import DocumentBuilder, NameIndex
from kintsugi.catalog.library import CatalogPaths, Source, files_named
from kintsugi.catalog.problems import CatalogErrors, Problem, did_you_mean
from kintsugi.catalog.rule_templates import RuleTemplates
from kintsugi.catalog.schema import (
    SHAPES,
    DocumentShape,
    KindsShape,
    NoticeRouteShape,
    PatternsShape,
    RuleShape,
    RuleTemplateShape,
    RunbookShape,
    ServiceShape,
)
from kintsugi.catalog.shaping import Shaped, path_of, problem_of, shape_of
from kintsugi.catalog.source import Document, documents
from kintsugi.model.catalog import Catalog
from kintsugi.model.runbooks import Patterns
from kubeobjects import discovery

ShapeT = TypeVar("ShapeT", bound=DocumentShape)

_SUFFIXES = (".yaml", ".yml")


def load(paths: Sequence[File] | CatalogPaths, *, durations: float = 1.0, deadlines: float = 1.0) -> Catalog:
    """
    Load the documents of files and folders; folders are read through, without what begins with a dot.

    `durations` scales every duration of all files: tests run them unchanged; `deadlines` further scales how long a step waits
    and how long a run may take. Raises CatalogErrors.
    """
    return load_sources(read_sources(paths), durations=durations, deadlines=deadlines)


def read_sources(paths: Sequence[File] | CatalogPaths) -> list[Source]:
    """Read the files that `load` would read. Raises CatalogErrors when one cannot be read."""
    if not isinstance(paths, CatalogPaths):
        paths = CatalogPaths(own=paths)
    sources: list[Source] = []
    problems: list[Problem] = []
    for path in paths.all:
        if not path.exists():
            problems.append(Problem(file=str(path), message="there is no such file or folder"))
        for file in files_in(path):
            try:
                sources.append(Source(name=str(file), content=file.read_bytes(), library=path in paths.library))
            except OSError as error:
                problems.append(Problem(file=str(file), message=error.strerror or str(error)))
    if problems:
        raise CatalogErrors(problems)
    return sources


def files_in(path: File) -> list[File]:
    """List a folder's YAML files; a ConfigMap's own links (`..data`) are left out, what they lead to is listed once."""
    if path.is_file():
        return [path]
    found = (file for suffix in _SUFFIXES for file in path.rglob(f"*{suffix}"))
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def load_sources(sources: Iterable[Source], *, durations: float = 1.0, deadlines: float = 1.0) -> Catalog:
    """Make a catalog of files that were read, without what of a library does not fit. Raises CatalogErrors."""
    sources = list(sources)
    while True:
        try:
            return _load_all(sources, _Loading(durations=durations, deadlines=deadlines))
        except CatalogErrors as errors:
            wrong = {each.file for each in errors.problems}
            unfit = {each.name for each in sources if each.library and each.name in wrong} - files_named(sources)
            if not unfit:
                raise
            sources = [each for each in sources if each.name not in unfit]


def _load_all(sources: Sequence[Source], loading: "_Loading") -> Catalog:
    for source in sources:
        found, problems = documents(source.content, source.name)
        loading.problems += problems
        for document in found:
            loading.take(document)
    if not loading.problems and not loading.shaped:
        # An emptied folder is a mistake, never a wish to be left without rules.
        where = sources[0].name if sources else ""
        loading.problems.append(Problem(file=where, message="there is no Service, Rule or Runbook in these files"))
    catalog = loading.finish()
    return replace(catalog, texts={source.name: source.content.decode() for source in sources})


@dataclass(kw_only=True, slots=True)
class _Loading:
    """All documents of a catalog in the making."""

    durations: float = 1.0
    deadlines: float = 1.0
    problems: list[Problem] = field(default_factory=list)
    shaped: list[Shaped[Any]] = field(default_factory=list)
    kinds: list[Document] = field(default_factory=list)
    named: dict[str, dict[str, Document]] = field(default_factory=lambda: {kind: {} for kind in SHAPES})

    def take(self, document: Document) -> None:
        """Check a document's shape, and that its name is its own."""
        value = document.value
        kind = value.get("kind") if isinstance(value, dict) else None
        if kind == discovery.KIND:
            self._take_kinds(document)
            return
        if not isinstance(value, dict) or not isinstance(kind, str) or kind not in SHAPES:
            known = (*SHAPES, discovery.KIND)
            message = f"`kind` must be one of {', '.join(known)}, not {kind!r}" if kind else "a document needs `kind`"
            self.problems.append(document.problem(("kind",), message, suggestion=did_you_mean(str(kind), known)))
            return
        self._claim_name(document, kind)
        shaped = shape_of(document, SHAPES[kind], self.problems)
        self.problems += shaped.problems
        if shaped.shape is not None:
            self.shaped.append(shaped)

    def _take_kinds(self, document: Document) -> None:
        """Let the steps of all documents name the kinds that a file lists."""
        try:
            shape = KindsShape.model_validate(document.value)
        except ValidationError as error:
            self.problems += [
                problem_of(each, path_of(each, document.value), document, KindsShape)
                for each in error.errors(include_url=False)
            ]
        else:
            discovery.add_filed(discovery.kinds_in([shape.model_dump(by_alias=True)]))
            self.kinds.append(document)

    def _claim_name(self, document: Document, kind: str) -> None:
        metadata = document.value.get("metadata") if isinstance(document.value, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(name, str):
            return
        path = ("metadata", "name")
        if name in self.named[kind]:
            first = self.named[kind][name].span(path).place
            self.problems.append(document.problem(path, f"there is a {kind} {name!r} already, in {first}"))
        else:
            self.named[kind][name] = document

    def finish(self) -> Catalog:
        """Build all documents and check them against each other. Raises CatalogErrors."""
        patterns = self._drafts(PatternsShape, self._known({}))
        scans = {name: build_patterns(draft) for name, draft in patterns.items()}
        known = self._known(scans)
        services = self._drafts(ServiceShape, known)
        rules, templates = self._drafts(RuleShape, known), self._drafts(RuleTemplateShape, known)
        runbooks, routes = self._drafts(RunbookShape, known), self._drafts(NoticeRouteShape, known)
        notice_routes = {name: build_notice_route(draft) for name, draft in routes.items()}
        priorities = {name: priority_of(draft.shape.spec) for name, draft in services.items()}
        starts = {name: draft.shape.spec.runbook for name, draft in services.items()}
        built = {name: build_service(draft, priorities) for name, draft in services.items()}
        written = {name: build_rule(draft, starts) for name, draft in rules.items()}
        of_all = RuleTemplates(templates=templates, services=services, rules=rules).expand(starts)
        whole = CrossChecks(
            services={name: service for name, service in built.items() if service is not None},
            rules={**written, **of_all},
            runbooks={name: build_runbook(draft) for name, draft in runbooks.items()},
            service_drafts=services,
            rule_drafts=rules,
            runbook_drafts=runbooks,
        )
        whole.check()
        bound = whole.bound_services()
        for drafts in (services, rules, templates, runbooks, patterns, routes):
            self.problems += [problem for draft in drafts.values() for problem in draft.problems]
        if self.problems:
            raise CatalogErrors(self.problems)
        read = (*(each.document for each in self.shaped), *self.kinds)
        return Catalog(
            services=bound,
            rules=whole.rules,
            runbooks=whole.sealed_runbooks(),
            patterns=scans,
            notice_routes=notice_routes,
            digest=digest_of(sorted(digest_of(each.value) for each in read), self.durations),
        )

    def _known(self, patterns: Mapping[str, Patterns]) -> NameIndex:
        """
        Collect the names that documents may use; a document with mistakes is included, so that each mistake is reported
        once.
        """
        shapes = [each.shape for each in self.shaped]
        specs = {shape.metadata.name: shape.spec for shape in shapes if isinstance(shape, ServiceShape)}
        return NameIndex(
            services=tuple(self.named["Service"]),
            runbooks=tuple(self.named["Runbook"]),
            patterns={name: patterns.get(name) for name in self.named["Patterns"]},
            checks={name: tuple(spec.checks) for name, spec in specs.items()},
            allowed_functions={name: frozenset(spec.sql_functions) for name, spec in specs.items()},
            durations=self.durations,
            deadlines=self.deadlines,
        )

    def _drafts(self, kind: type[ShapeT], known: NameIndex) -> dict[str, DocumentBuilder[ShapeT]]:
        drafts: dict[str, DocumentBuilder[ShapeT]] = {}
        for each in self.shaped:
            if isinstance(each.shape, kind):
                draft = DocumentBuilder(document=each.document, shape=each.shape, known=known, unclear=each.unclear)
                drafts.setdefault(draft.name, draft)
        return drafts
