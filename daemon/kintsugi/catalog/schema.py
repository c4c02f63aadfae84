"""
The shapes of documents: their keys, and the allowed values of each; and their JSON Schemas, for editors and `kintsugi schema`.

pydantic checks a whole document and reports all problems at once. Checks that need other documents, or compile an
expression, come afterwards.
"""

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Annotated, Any, Final, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    model_validator,
)
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import PydanticCustomError

from kintsugi.commands import rows
from kintsugi.decisions.drills import read_schedule
from kintsugi.durations import parse_duration
from kintsugi.model.notices import DEFAULT_TEMPLATE
from kintsugi.model.rules import Mode, RuleSource
from kintsugi.model.runbooks import OnFailure, OnNo, RollbackPolicy, RollbackThen, Severity
from kintsugi.model.services import OnUpstreamFailure
from kubeobjects.quantities import quantity

ACTIONS = ("run", "runbook", "steps", "parallel", "checks", "undoStep", "manual")
SEVERAL_ACTIONS: Final = "several_actions"
"""The type of pydantic's error about a step that does several things."""

MOST_STEPS_IN_A_ROW = 1000
LOWEST_PRIORITY = 1000

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _duration(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("it is not a duration: write hours, minutes and seconds, as in 90s, 5m or 1h30m")  # noqa: TRY004
    return parse_duration(value)


def _expression(value: object) -> object:
    """Take `true` and numbers, which are YAML's but CEL's too, as the text that was written."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _parameter_type(value: object) -> object:
    match value:
        case [str(word)]:
            return f"[{word}]"
        case list():
            raise ValueError("a list is of one type: write it as in [workload]")
        case _:
            return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration, json_schema_input_type=Annotated[str, Field(pattern=r"^([0-9.]+(ms|s|m|h))+$|^0$")]),
]


def _interval(value: timedelta) -> timedelta:
    if not timedelta(seconds=5) <= value <= timedelta(hours=1):
        raise ValueError("`every` is between 5s and 1h: a more frequent check would load its service")
    return value


Interval = Annotated[Duration, AfterValidator(_interval)]
ParameterType = Annotated[str, BeforeValidator(_parameter_type, json_schema_input_type=str | list[str])]
ExpressionText = Annotated[
    str, BeforeValidator(_expression, json_schema_input_type=str | bool), StringConstraints(min_length=1)
]
Text = Annotated[str, StringConstraints(min_length=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$")]
ApproverNames = Annotated[list[Name], Field(max_length=100)]
People = Annotated[int, Field(ge=1, le=10)]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
Namespace = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
FunctionName = Annotated[str, StringConstraints(pattern=r"^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
ParameterValue = str | bool | int | float | list[str | bool | int | float]


def _undo_form(value: object) -> str:
    return "steps" if isinstance(value, list) else "word"


Undo = Annotated[
    Annotated[Literal["keep", "none"], Tag("word")] | Annotated[list["StepShape"], Field(min_length=1), Tag("steps")],
    Discriminator(_undo_form),
]


class Shape(BaseModel):
    """The base of all shapes: unknown keys are mistakes, and `5` is not the text "5"."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=False,
        arbitrary_types_allowed=False,
    )


class MetadataShape(Shape):
    """A document's name, and what a person or a tool may note beside it."""

    name: Name
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ApproveShape(Shape):
    """The question before a step, and the consequence of a no."""

    question: Text
    on_no: OnNo = Field(default=OnNo.STOP, strict=False)


def _approve_form(value: object) -> str:
    return "text" if isinstance(value, str) else "question"


Approve = Annotated[
    Annotated[Text, Tag("text")] | Annotated[ApproveShape, Tag("question")], Discriminator(_approve_form)
]


class ManualShape(Shape):
    """What a person does, what they paste for it, and how long their answer is awaited."""

    text: Text
    command: Text | None = None
    expiry: Duration | None = None


class StepShape(Shape):
    """A step does one thing: run, runbook, steps, parallel, checks, undoStep or manual; with none of them it waits for `expect`."""

    id: Id
    name: str = ""
    run: Text | None = None
    runbook: Name | None = None
    steps: Annotated[list["StepShape"], Field(min_length=1, max_length=MOST_STEPS_IN_A_ROW)] | None = None
    parallel: Annotated[list["StepShape"], Field(min_length=1, max_length=MOST_STEPS_IN_A_ROW)] | None = None
    checks: Id | None = None
    undo_step: Id | None = None
    manual: ManualShape | None = None
    service: Text | None = None
    needs: list[Id] = []
    for_each: ExpressionText | None = None
    max_parallel: Annotated[int, Field(ge=1, le=100)] = 1
    when: ExpressionText | None = None
    unless: ExpressionText | None = None
    approve: Approve | None = None
    expect: ExpressionText | None = None
    within: Duration = timedelta(0)
    for_duration: Duration = Field(default=timedelta(0), alias="for")
    progress: ExpressionText | None = None
    on_failure: OnFailure = Field(default=OnFailure.STOP, strict=False)
    timeout: Duration | None = None
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    even_if_resolved: bool = False
    undo: Undo | None = None
    scan: Name | None = None
    keep: ExpressionText | None = None
    count: ExpressionText | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> "StepShape":
        given = [action for action in ACTIONS if self._has(action)]
        if len(given) > 1:
            text = "a step does one thing, and this one has {given}: make them steps of their own"
            raise PydanticCustomError(SEVERAL_ACTIONS, text, {"given": " and ".join(given)})
        if not given and self.expect is None and self.approve is None:
            raise ValueError(
                f"a step that does nothing waits, so it needs `expect` or `approve`; or it has one of {', '.join(ACTIONS)}"
            )
        return self

    @property
    def action(self) -> str:
        """Return the key of what the step does, "" when it only waits."""
        return next((action for action in ACTIONS if self._has(action)), "")

    def _has(self, action: str) -> bool:
        return getattr(self, to_snake(action)) is not None


class SecretShape(Shape):
    """A reference to one key of a Secret."""

    secret: Name
    key: Text


def _schedule(value: object) -> object:
    return read_schedule(value) if isinstance(value, str) else value


class DrillShape(Shape):
    """How a service's backups are tried; without a schedule only when a person says so."""

    runbook: Name = "database-drill"
    schedule: Annotated[str, BeforeValidator(_schedule)] = ""


def _amount(value: str) -> str:
    if quantity(value) <= 0:
        raise ValueError(f"{value!r} is not more than 0")
    return value


Amount = Annotated[str, AfterValidator(_amount)]


class MaxAllowedShape(Shape):
    """How far a container's memory limit and a claim may be raised; what is not given is never raised."""

    memory: Amount = ""
    storage: Amount = ""


class RuleOverridesShape(Shape):
    """What a service says otherwise of a rule that every service gets; what is not given is the template's."""

    enabled: bool = True
    for_duration: Duration | None = Field(default=None, alias="for")
    every: Interval | None = None
    runbook: Name | None = None
    mode: Mode | None = Field(default=None, strict=False)
    approvers: ApproverNames | None = None
    people: People | None = None
    cooldown: Duration | None = None


class ServiceSpecShape(Shape):
    """
    What a service is, what it needs, how to tell that it is well, which runbook mends it.

    Only `namespace` and `workload` must be given; `build` derives the others.
    """

    priority: Annotated[int, Field(ge=1, le=LOWEST_PRIORITY)] | None = None
    depends_on: list[Name] | None = None
    on_upstream_failure: OnUpstreamFailure = Field(default=OnUpstreamFailure.WAIT, strict=False)
    namespace: Namespace
    selector: Text | None = None
    workload: Text
    replicas: Annotated[int, Field(ge=1, le=100_000)] | None = None
    healthy: ExpressionText | None = None
    runbook: Name = "workload-recovery"
    rules: dict[Name, RuleOverridesShape] = {}
    parameters: dict[Id, ParameterValue] = {}
    env: dict[EnvName, SecretShape] = {}
    checks: dict[Id, Annotated[list[StepShape], Field(min_length=1, max_length=MOST_STEPS_IN_A_ROW)]] = {}
    drill: DrillShape | None = None
    expendable: bool = False
    max_allowed: MaxAllowedShape = MaxAllowedShape()
    sql_functions: list[FunctionName] = []


class RuleTemplateSpecShape(Shape):
    """When something about any one service is a reason to act."""

    on: RuleSource = Field(strict=False)
    when: ExpressionText | None = None
    matchers: Annotated[list[Text], Field(min_length=1)] | None = None
    for_duration: Duration = Field(default=timedelta(0), alias="for")
    check: Id | None = None
    every: Interval | None = None
    runbook: Name | None = None
    mode: Mode = Field(default=Mode.OBSERVE, strict=False)
    approvers: ApproverNames = []
    people: People = 1
    cooldown: Duration = timedelta(minutes=10)

    @model_validator(mode="after")
    def _has_a_condition(self) -> Self:
        if self.on is RuleSource.ALERT and self.matchers is None:
            raise ValueError("a rule on alerts needs `matchers`, as in - alertname=KubePodCrashLooping")
        if self.on is not RuleSource.ALERT and self.matchers is not None:
            raise ValueError(f"`matchers` is for rules on alerts: a rule on {self.on} has `when`")
        self._asks_a_check()
        if self.on not in (RuleSource.ALERT, RuleSource.CHECK) and self.when is None:
            raise ValueError(f"a rule on {self.on} needs `when`")
        return self

    def _asks_a_check(self) -> None:
        if self.on is not RuleSource.CHECK:
            if self.check is not None or self.every is not None:
                raise ValueError(f"`check` and `every` are for rules on a check: remove them from a rule on {self.on}")
        elif self.check is None:
            raise ValueError("a rule on a check needs `check`, the name of one of its service's lists of checks")


class RuleSpecShape(RuleTemplateSpecShape):
    """When something is a reason to act."""

    service: Name | None = None
    namespace: Literal["any"] | None = None

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if self.on is not RuleSource.ALERT and self.namespace is not None:
            raise ValueError(
                f"`namespace: any` is for rules on alerts: a rule on {self.on} is about its service's objects"
            )
        if self.on not in (RuleSource.SERVICES, RuleSource.ALERT) and self.service is None:
            raise ValueError("`service` is missing: only a rule on services or on alerts can be about all of them")
        if self.service is None and self.runbook is None:
            raise ValueError("a rule about all services needs `runbook`")
        return self


class ParameterShape(Shape):
    """A value that a runbook takes; `type` in brackets is a list, `from` a label or an annotation of the alert."""

    type: ParameterType
    source: Text | None = Field(default=None, alias="from")
    default: ParameterValue | None = None
    description: str = ""


class RollbackShape(Shape):
    """What the watchdog does at the deadline."""

    after: Duration = timedelta(minutes=30)
    policy: RollbackPolicy = Field(default=RollbackPolicy.SAFE, strict=False)
    steps: list[StepShape] = []
    then: RollbackThen = Field(default=RollbackThen.UNDO, strict=False)
    data_loss_check: Id | None = None


class RunbookSpecShape(Shape):
    """Steps, and the way back."""

    title: Text
    service: Name | None = None
    parameters: dict[Id, ParameterShape] = {}
    approvers: ApproverNames = []
    people: People = 1
    complete_once_begun: bool = False
    rehearsal: bool = False
    steps: Annotated[list[StepShape], Field(min_length=1, max_length=MOST_STEPS_IN_A_ROW)]
    rollback: RollbackShape = RollbackShape()


class PatternShape(Shape):
    """What one kind of log line means."""

    match: Text
    sqlstate: list[Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{5}$")]] = []
    means: Name
    severity: Literal["info", "warning", "critical"]


Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAYS = get_args(Day)


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError) as error:  # absent, a folder, or no path inside the database
        raise ValueError(f"{value!r} is not a time zone: write its name, as in Europe/Berlin") from error
    return value


def _time_of_day(value: object) -> object:
    """Take the text `22:00`; YAML 1.1 would read it as a number, and this reader does not."""
    if not isinstance(value, str):
        raise ValueError('it is not a time of day: write hours and minutes in quotes, as in "22:00"')  # noqa: TRY004
    try:
        return time.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f'{value!r} is not a time of day: write hours and minutes in quotes, as in "22:00"') from error


TimeOfDay = Annotated[
    time, BeforeValidator(_time_of_day, json_schema_input_type=Annotated[str, Field(pattern=r"^[0-2]\d:[0-5]\d$")])
]


class HoursShape(Shape):
    """Hours of some weekdays; those that end before they begin end on the next day."""

    begin: TimeOfDay = Field(default=time(0), alias="from")
    end: TimeOfDay = Field(default=time(0), alias="to")
    days: list[Day] = []
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"


class SlackShape(Shape):
    """A channel of Slack."""

    channel: Annotated[str, StringConstraints(pattern=r"^[CDG][A-Z0-9]{8,}$")]


class DestinationShape(Shape):
    """One place where people are told: a channel of Slack, or a destination of Apprise by its name."""

    slack: SlackShape | None = None
    apprise: Name | None = None

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if (self.slack is None) == (self.apprise is None):
            raise ValueError("a destination is one of `slack` and `apprise`")
        return self


class MessageLimitShape(Shape):
    """The most messages within a time."""

    messages: Annotated[int, Field(ge=1, le=1000)] = 20
    within: Duration = timedelta(minutes=5)


class NoticeRouteSpecShape(Shape):
    """Which notices go where; `to` lists places, of which the first that takes a notice gets it."""

    services: list[Name] = []
    severities: list[Annotated[Severity, Field(strict=False)]] = []
    matchers: list[Text] = []
    hours: HoursShape | None = None
    limit: MessageLimitShape = MessageLimitShape()
    template: Annotated[str, StringConstraints(max_length=4_000)] = DEFAULT_TEMPLATE
    to: Annotated[list[DestinationShape], Field(min_length=1, max_length=10)]


class DocumentShape(Shape):
    """The base of all documents: their first keys."""

    api_version: Literal["kintsugi.dev/v1alpha1"]
    metadata: MetadataShape


class ServiceShape(DocumentShape):
    """A Service document."""

    kind: Literal["Service"]
    spec: ServiceSpecShape


class RuleShape(DocumentShape):
    """A Rule document."""

    kind: Literal["Rule"]
    spec: RuleSpecShape


class RuleTemplateShape(DocumentShape):
    """A RuleTemplate document: a rule that every service gets."""

    kind: Literal["RuleTemplate"]
    spec: RuleTemplateSpecShape


class RunbookShape(DocumentShape):
    """A Runbook document."""

    kind: Literal["Runbook"]
    spec: RunbookSpecShape


class PatternsShape(DocumentShape):
    """A Patterns document."""

    kind: Literal["Patterns"]
    spec: Annotated[list[PatternShape], Field(min_length=1)]


class NoticeRouteShape(DocumentShape):
    """A NoticeRoute document."""

    kind: Literal["NoticeRoute"]
    spec: NoticeRouteSpecShape


TypeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$")]


class ResponseKindShape(Shape):
    """The kind of the objects of a resource."""

    kind: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{0,62}$")]
    group: str = ""
    version: str = ""


class ResourceShape(Shape):
    """One resource of a version of an API group: `categories` and `subresources` are allowed and not used."""

    resource: TypeName
    response_kind: ResponseKindShape | None = None
    scope: Literal["Namespaced", "Cluster"]
    singular_resource: TypeName | Literal[""] = ""
    verbs: list[str]
    short_names: list[TypeName] = []
    categories: list[str] = []
    subresources: list[dict[str, Any]] = []


class VersionShape(Shape):
    """One version of an API group."""

    version: TypeName
    resources: list[ResourceShape] = []
    freshness: str = ""


class GroupMetadataShape(Shape):
    """The name of an API group, "" for the core group."""

    name: Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$")] = ""
    creation_timestamp: None = None


class GroupShape(Shape):
    """One API group with its versions, the preferred one first."""

    api_version: str = ""
    kind: str = ""
    metadata: GroupMetadataShape
    versions: list[VersionShape]


class KindsShape(Shape):
    """
    The kinds of a cluster, as its aggregated discovery lists them (kubernetes.io, *Aggregated discovery*).

    It is Kubernetes' own document: its name and its keys are not Kintsugi's.
    """

    api_version: Literal["apidiscovery.k8s.io/v2"]
    kind: Literal["APIGroupDiscoveryList"]
    metadata: dict[str, Any] = {}
    items: list[GroupShape]


AnyShape = ServiceShape | RuleShape | RuleTemplateShape | RunbookShape | PatternsShape | NoticeRouteShape
SHAPES: Mapping[str, type[AnyShape]] = {
    "Service": ServiceShape,
    "Rule": RuleShape,
    "RuleTemplate": RuleTemplateShape,
    "Runbook": RunbookShape,
    "Patterns": PatternsShape,
    "NoticeRoute": NoticeRouteShape,
}


def schemas() -> Mapping[str, dict[str, object]]:
    """Return the schema of each kind of document, by kind."""
    return {
        kind: {"$schema": _DIALECT, **_with_commands(shape.model_json_schema(by_alias=True))}
        for kind, shape in SHAPES.items()
    }


def schema() -> dict[str, object]:
    """Return one schema for a document of any kind."""
    any_kind: TypeAdapter[AnyShape] = TypeAdapter(Annotated[AnyShape, Field(discriminator="kind")])
    written = _with_commands(any_kind.json_schema(by_alias=True))
    return {"$schema": _DIALECT, "title": "A document of Kintsugi's catalog", **written}


def _with_commands(schema: dict[str, Any]) -> dict[str, Any]:
    """Add the example of every verb to the `run` of a step."""
    step = schema.get("$defs", {}).get("StepShape")
    if step is not None:
        step["properties"]["run"]["examples"] = [spec.example for spec in rows()]
    return schema
