"""The words of pages that are understood, in English and Japanese: headings, labels, expected results, names of placeholders."""

import re
from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What a section of a page is for."""

    TEXT = "text"
    PREREQUISITES = "prerequisites"
    DIAGNOSIS = "diagnosis"
    VERIFICATION = "verification"
    MITIGATION = "mitigation"
    ROLLBACK = "rollback"
    ESCALATION = "escalation"


_ROLES: tuple[tuple[Role, str], ...] = (
    (
        Role.TEXT,
        r"post[- ]?(incident|mortem)|after the incident|prevention|preventive|follow[- ]?ups?\b|long[- ]?term|lessons|再発防止|事後",
    ),
    (Role.ROLLBACK, r"roll(ing)?[ -]?back|revert|back[ -]?out|ロールバック|切り戻し"),
    (Role.ESCALATION, r"escalat|contact|further help|エスカレーション|連絡先"),
    (Role.PREREQUISITES, r"pre-?requisite|requirement|before (you )?(begin|start)|preparation|setup|前提|事前|準備"),
    (Role.VERIFICATION, r"verif|validat|confirm|post[- ]?check|smoke|検証|確認"),
    (
        Role.MITIGATION,
        r"mitigat|remed|resol|recover|repair|fix|restor|solution|procedure|action|step|restart|対応|対処|復旧|リカバリー|リストア|手順|緩和",
    ),
    (
        Role.DIAGNOSIS,
        r"diagnos|investigat|troubleshoot|debug|triage|check|inspect|identif|symptom|診断|調査|切り分け|チェック",
    ),
    (
        Role.TEXT,
        r"meaning|impact|overview|summary|description|background|reference|link|see also|appendix|概要|影響|意味|説明|参考|優先順位",
    ),
)
_ALTERNATIVE = re.compile(
    r"\b(scenario|option|alternative|case|cause|approach|method)\b\s*([A-Z0-9#]|:)|if (needed|necessary|required)|^(only )?if\b|last resort|optional|必要に応じて|場合|シナリオ|オプション",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^\s*([A-Za-z][A-Za-z ]{1,30}|[^\x00-\x7f]{2,14}(?: ?ID)?)\s*[:：]\s*(.*)$", re.DOTALL)


class Label(StrEnum):
    """What a text says before a colon: `Expected result: …`."""

    ID = "id"
    SERVICE = "service"
    COMMAND = "command"
    EXPECTED = "expected"
    TRIGGER = "trigger"


_LABELS: tuple[tuple[Label, str], ...] = (
    (Label.ID, r".*\bid|.*ID|.*識別子"),
    (Label.SERVICE, r"service( name)?|サービス"),
    (Label.COMMAND, r"(command|run|コマンド|実行)s?"),
    (Label.EXPECTED, r"expect(ed)?( (result|output|outcome|response))?|期待される(結果|出力)|期待値?"),
    (Label.TRIGGER, r"trigger|when|トリガー|発動条件"),
)
_TIME = re.compile(r"(?<!\d)(\d{1,9})\s*(s|sec|seconds?|m|min|minutes?|h|hours?|秒|分|時間)(?![a-z])", re.IGNORECASE)


def role_of(heading: str) -> Role | None:
    """Return what a heading announces, None where its words do not tell."""
    return next((role for role, pattern in _ROLES if re.search(pattern, heading, re.IGNORECASE)), None)


def alternative(text: str) -> bool:
    """Return whether a heading or a text says that what follows may not be needed."""
    return bool(_ALTERNATIVE.search(text))


_FORBIDS_BEFORE = re.compile(
    r"\b(?:never|(?:do|must|should) not|(?:do|must|should)n['’]t)(?: ever)? (?:run|use|execute|call|try)\s*$",
    re.IGNORECASE,
)
_FORBIDS_BEHIND = re.compile(r"^\s*[はを][^。、]{0,12}(?:ない(?:で|こと)|禁止|いけ(?:ない|ません))")


def forbidden(text: str, command: str) -> bool:
    """Return whether a text says right before or behind a command that it must not be run."""
    before, _, behind = text.partition(" ".join(command.split()))
    return bool(_FORBIDS_BEFORE.search(before) or _FORBIDS_BEHIND.search(behind))


def by_priority(heading: str) -> bool:
    """Return whether a heading announces a list of services in their order."""
    return bool(re.search(r"priorit|order of (recovery|services)|優先順位", heading, re.IGNORECASE))


_GENERIC: Mapping[str, str] = {
    "database": r"database|\bdb\b|データベース",
    "cache": r"cache|キャッシュ",
    "api": r"\bapi\b|back-?end|バックエンド",
    "web": r"\bweb\b|front-?end|フロントエンド",
    "ingress": r"ingress|load ?balancer|イングレス|ロードバランサー",
}
"""Words in the names of services, with what texts call such services."""


def mentions(text: str, service: str) -> bool:
    """Return whether a text speaks of a service, by its name or by what it is."""
    patterns = [_GENERIC[word] for word in service.split("-") if word in _GENERIC]
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in (re.escape(service), *patterns))


def recovers(text: str) -> bool:
    """Return whether a text asks to recover or start something."""
    return bool(
        re.search(r"recover|restor|\b(re)?start|bring (up|back)|リカバリー|復旧|リストア|起動", text, re.IGNORECASE)
    )


def labelled(text: str) -> tuple[Label | None, str]:
    """Return the label of a text, and the text behind it; (None, text) without a known one."""
    if found := _LABEL.match(text):
        for label, pattern in _LABELS:
            if re.fullmatch(pattern, found[1].strip(), re.IGNORECASE):
                return label, found[2].strip()
    return None, text


def duration_in(text: str) -> str:
    """Return the first time that a text names, as in 30m; "" without one."""
    if found := _TIME.search(text):
        unit = {"秒": "s", "分": "m", "時間": "h"}.get(found[2], found[2][0].lower())
        return f"{int(found[1])}{unit}"
    return ""


_EXPECTATIONS: tuple[tuple[str, str, str], ...] = (
    (
        r"kubectl get (pods?|po)\b",
        r"\bRunning\b|実行中",
        'size(items) > 0 && items.all(p, p.displayStatus == "Running")',
    ),
    (r"kubectl get pv,pvc\b", r"\bbound\b|バインド", 'pvc.all(c, c.status.phase == "Bound")'),
    (r"kubectl get (pvc|persistentvolumeclaims?)\b", r"\bbound\b|バインド", 'items.all(c, c.status.phase == "Bound")'),
    (r"kubectl get (nodes?|no)\b", r"\bready\b|準備完了", "size(items) > 0 && items.all(n, n.ready)"),
    (
        r"kubectl get (svc|services?)[ /]\S+",
        r"(external|load ?balancer).*(ip|address)|(ip|address).*(assigned|present)|外部 ?IP",
        'item.address != ""',
    ),
    (r"curl\b", r"\b200\b", "status == 200"),
    (r"kubectl rollout status\b", r"complete|success|完了|成功", "complete"),
    (
        r".*\bpsql\b",
        r"rows?\b.*return|return.*\brows?\b|quer(y|ies).*(succe|return)|クエリが正常|レプリカが接続",
        "size(rows) > 0",
    ),
)
"""Patterns of a command and of what a page expects, with the condition that asks the same."""


_LONGEST = 1000
"""Characters of an expected result that are looked at: the time of these patterns grows with the square."""


def expectation(command: str, expected: str) -> str:
    """Return the condition that asks what a page expects of a command, "" where the list has none: it is never guessed."""
    for of, phrase, condition in _EXPECTATIONS:
        if re.match(of, command) and re.search(phrase, expected[:_LONGEST], re.IGNORECASE):
            return condition
    return ""


_OF_ALERT: Mapping[str, str] = {
    **dict.fromkeys(("pod", "pod_name", "podname", "pod_id"), "pod"),
    **dict.fromkeys(("node", "node_name", "nodename", "node_id"), "node"),
    **dict.fromkeys(("namespace", "ns", "namespace_name", "project"), "namespace"),
    **dict.fromkeys(("container", "container_name"), "container"),
    **dict.fromkeys(
        ("pvc", "pvc_name", "persistentvolumeclaim", "claim", "claim_name", "volume_claim"), "persistentvolumeclaim"
    ),
    **dict.fromkeys(("pv", "pv_name", "persistentvolume", "volume_name"), "persistentvolume"),
    **dict.fromkeys(("deployment", "deployment_name", "deploy", "deploy_name"), "deployment"),
    **dict.fromkeys(("statefulset", "statefulset_name", "sts", "sts_name"), "statefulset"),
    **dict.fromkeys(("daemonset", "daemonset_name", "ds", "ds_name"), "daemonset"),
    **dict.fromkeys(("job", "job_name", "jobname"), "job_name"),
    **dict.fromkeys(("cronjob", "cronjob_name"), "cronjob"),
    **dict.fromkeys(("hpa", "hpa_name", "horizontalpodautoscaler"), "horizontalpodautoscaler"),
    **dict.fromkeys(("instance",), "instance"),
    **dict.fromkeys(("service", "service_name", "svc", "svc_name"), "service"),
    **dict.fromkeys(("pdb", "pdb_name", "poddisruptionbudget"), "poddisruptionbudget"),
    **dict.fromkeys(("ingress", "ingress_name"), "ingress"),
}
"""Names of placeholders, with the label of an alert that has the value: those of kube-state-metrics and of Prometheus."""

_ANY_NAME = frozenset({"name", "object", "object_name", "resource", "resource_name"})
_QUALIFIED = re.compile(
    r"^(the|your|my|alert|target|affected|failing|failed|problem|problematic|relevant|some|current|value_of|name_of)_"
    r"|_(from_alert|label_from_alert|label|here|value)$"
)


def label_of(parameter: str, kind: str = "") -> str:
    """
    Return the label of an alert that a parameter's name means, "" where it means none.

    `kind` is the type of the object that the parameter names, where its place tells: `<name>` in `kubectl describe pod <name>`.
    """
    while (shorter := _QUALIFIED.sub("", parameter)) != parameter:
        parameter = shorter
    return _OF_ALERT.get(kind if parameter in _ANY_NAME else parameter, "")


_UNHEALTHY_POD = re.compile(r"^(unhealthy|failing|failed|bad|broken|stuck|crashing|crashed|faulty)_pods?(_name)?s?$")
_ADDRESS = re.compile(r"^(external|lb|load_?balancer|public)_(ip|address)$")


def unhealthy_pod(parameter: str) -> bool:
    """Return whether a name means the pods of the service that are unhealthy."""
    return bool(_UNHEALTHY_POD.match(parameter))


def external_address(parameter: str) -> bool:
    """Return whether a name means the address of a load balancer."""
    return bool(_ADDRESS.match(parameter))
