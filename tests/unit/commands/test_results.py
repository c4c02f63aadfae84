"""An expression after a command sees its result's names, and no others."""

from dataclasses import replace

import pytest

from kintsugi.commands import parse_template
from kintsugi.expressions import ANY, Expression, ExpressionProblem, Scope

SCOPE = Scope(names={"x": ANY})


def after(line: str, source: str) -> Expression:
    template = parse_template(line, SCOPE)
    return replace(SCOPE, names={**SCOPE.names, **template.columns()}).expression(source, result=ANY)


RIGHT = [
    ("kubectl get pods", 'items.all(p, p.status.phase == "Running")'),
    ("kubectl get pod web", 'item.metadata.name == "web"'),
    ("kubectl get pv,pvc -n x", 'pvc.all(c, c.status.phase == "Bound") && size(pv) > 0'),
    ("kubectl get deployments.apps,sts", "size(deployments) + size(sts)"),
    ("kubectl get ${x}", "item.whatever"),
    (
        "kubectl get secrets -o wide",
        'items.exists(s, s.type == "kubernetes.io/tls" && s.keys == 2 && s.age < duration("24h"))',
    ),
    ("kubectl get secret/web-tls pod/web-1", "size(items) == 2"),
    ("kubectl describe secret web-tls", 'item.name == "web-tls" && text.contains("x")'),
    ("kubectl describe pod web", "text.contains('x') && item.metadata.name == 'web'"),
    ("kubectl logs web", "lines.exists(l, l.contains('x'))"),
    ("kubectl top nodes", "items.all(n, n.cpuPercent < 95 && n.memoryPercent < 95)"),
    ("kubectl events", "items.filter(e, e.type == 'Warning')"),
    ("kubectl auth can-i get pods", "allowed"),
    (
        "kubectl auth can-i --list",
        'rules.exists(r, "get" in r.verbs && "pods" in r.resources && size(r.resourceNames) == 0)',
    ),
    ("kubectl get --raw=/readyz", 'status == 200 && body.contains("ok")'),
    ("kubectl get --raw /apis/metrics.k8s.io/v1beta1/nodes", "size(json.items) > 0"),
    ("kubectl rollout history deployment/web", "revisions.exists(r, r.good && !r.current && r.number > 1)"),
    ("kubectl rollout status deployment/web", "complete"),
    ("kubectl delete pod web", "size(items) > 0"),
    ("kubectl scale deployment web --replicas=1", "items.all(d, d.spec.replicas == 1)"),
    ("kubectl patch pv a -p '{\"a\":1}'", 'items.all(v, v.spec.persistentVolumeReclaimPolicy == "Retain")'),
    ("curl http://a", 'status == 200 && body.contains("ok") && headers["content-type"] == "x" && json.a.b == 1'),
    ("nslookup a", "size(addresses) > 0"),
    ("nc -z a 80", "open"),
    ("promtool query instant http://a:9090 'sum(up)'", "value < 0.01 && value > 0.0"),
    (
        "promtool query instant http://a:9090 up",
        'samples.all(s, s.labels["job"] == "x" && s.value >= 1.0) && size(warnings) == 0',
    ),
    ("kubectl exec p -- redis-cli PING", 'lines == ["PONG"] && exitCode == 0 && text != ""'),
    ("kubectl exec p -- psql -c 'TABLE t'", 'rows.all(r, r.state == "streaming") && value == 1'),
    ("psql -h a -U b -c 'TABLE t'", "size(rows) == 0 || value < 27.5"),
    (
        "kintsugi backup fetch s3://b-1/x --database=d -n p",
        "backup.proven && backup.taken < timestamp('2026-01-01T00:00:00Z') && size(backup.skipped) == 0",
    ),
    ("kintsugi backup fetch s3://b-1/x --database=d -n p", "done.bytes == done.of && size(notes) == 0"),
    (
        "pg_restore -e -1 -h d.p -U u -d d /backups/x",
        "restored.tables.exists(t, t.name == 'public.orders' && t.rows >= 1000) && done.phase == 'counting'",
    ),
]


@pytest.mark.parametrize(("line", "source"), RIGHT, ids=[line for line, _ in RIGHT])
def test_the_names_of_a_result_are_known(line: str, source: str) -> None:
    after(line, source)


WRONG = [
    ("kubectl get pods", "item"),
    ("kubectl get pods", 'items.all(p, p.status.phsae == "Running")'),
    ("kubectl get pv,pvc", "items"),
    ("kubectl get --raw /readyz", "items"),
    ("kubectl auth can-i --list", "allowed"),
    ("kubectl get secrets", "items.exists(s, s.data.a == 'x')"),
    ("kubectl get pv,pvc -n x", "pvc.all(c, c.spec.persistentVolumeReclaimPolicy == 'x')"),
    ("kubectl logs web", "line"),
    ("curl http://a", 'status == "200"'),
    ("nc -z a 80", "opened"),
    ("promtool query instant http://a:9090 up", "value == '1'"),
    ("promtool query instant http://a:9090 up", "samples.all(s, s.metric.job == 'x')"),
    ("kubectl exec p -- redis-cli PING", "rows"),
    ("kubectl exec p -- psql -c 'TABLE t'", "lines"),
    ("psql -h a -U b -c 'TABLE t'", "value.all(v, rows)"),
    ("kubectl rollout status deployment/web", "revisions"),
    ("kintsugi backup fetch s3://b-1/x --database=d -n p", "backup.proved"),
    ("kintsugi backup fetch s3://b-1/x --database=d -n p", "restored"),
    ("pg_restore -e -1 -h d.p -U u -d d /backups/x", "backup"),
]


@pytest.mark.parametrize(("line", "source"), WRONG)
def test_a_name_that_a_result_has_not_is_refused(line: str, source: str) -> None:
    with pytest.raises(ExpressionProblem):
        after(line, source)


def test_how_long_a_command_waits_is_scaled_as_all_waits_are() -> None:
    template = parse_template("kubectl rollout status deployment/web --timeout=5m", SCOPE, waits=0.01)
    command = template.bind({}, namespace="x")
    assert command.timeout.total_seconds() == 3  # type: ignore[attr-defined]
