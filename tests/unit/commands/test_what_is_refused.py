"""What is not a command of ours is refused when it is read, with the reason and what to write instead (P10, E5)."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kintsugi.commands import CommandProblem, parse, parse_template, render
from kintsugi.expressions import STRING, ExpressionProblem, Scope
from kintsugi.scope.types import parameter_type

SHELL = [
    ("kubectl get pods | grep web", "pipe"),
    ("kubectl get pods || true", r"\|\| is not understood, .* `onFailure`"),
    ("kubectl get pods -o name | xargs kubectl delete", "`forEach` if it is run for each item, or write it as a step"),
    ("kubectl get pods; kubectl get nodes", "one command"),
    ("kubectl get pods && kubectl get nodes", "one command"),
    ("kubectl get pods &", "one command"),
    ("kubectl get pods > /tmp/x", "redirect"),
    ("kubectl get pods 2>/dev/null", "redirect"),
    ("kubectl apply -f - < x.yaml", "redirect"),
    ("kubectl delete pod $(kubectl get pods -o name)", r"\$\( \)"),
    ("kubectl delete pod `cat name`", "back-quotes"),
    ('kubectl delete pod "$(cat name)"', r"\$\( \)"),
    ("kubectl delete pod web-*", "glob"),
    ("NAMESPACE=x kubectl get pods", "environment variable"),
    ("kubectl get pods\nkubectl get nodes", "line break"),
    ("kubectl get pods -l app in (web)", "quote a set selector"),
    ("kubectl get pods # all of them", "start of a word"),
    ("kubectl get pods 'x", "not closed"),
    ("kubectl get \x00pods", "character"),
    ("kubectl get \ue000pods", "character"),
    ("bash -c 'kubectl get pods'", "no shell runs here"),
    ("", "empty"),
]


@pytest.mark.parametrize(("line", "why"), SHELL)
def test_a_line_that_needs_a_shell_is_refused(line: str, why: str) -> None:
    with pytest.raises(CommandProblem, match=why):
        parse(line, namespace="x")


@pytest.mark.parametrize(
    "line", ["curl 'http://a/x?y=1&z=2'", "kubectl annotate pod a 'note=a | b; c > d'", "curl http://a/x?y=1"]
)
def test_special_characters_inside_quotes_are_text(line: str) -> None:
    parse(line, namespace="x")


SCOPE = Scope(names={"params.known": STRING, "alert": STRING})


def told(line: str) -> str:
    """Return what is said about a line of a runbook that is refused."""
    with pytest.raises((CommandProblem, ExpressionProblem)) as caught:
        parse_template(line, SCOPE)
    return str(caught.value)


PLACEHOLDERS = [
    ("kubectl delete pod <pod-name>", "<pod-name> (argument 2)", "pod_name: {type: name}"),
    ("kubectl delete pod '<pod name>'", "<pod name> (argument 2)", "pod_name: {type: name}"),
    ("kubectl delete pod POD_NAME", "POD_NAME (argument 2)", "pod_name: {type: name}"),
    ("kubectl delete pod {POD}", "{POD} (argument 2)", "pod: {type: name}"),
    ("kubectl logs my-pod-XXXXX", "my-pod-XXXXX (argument 1)", "my_pod: {type: name}"),
    ("kubectl delete pod $POD", "$POD (argument 2)", "pod: {type: name}"),
    ('kubectl delete pod "$POD"', "$POD (argument 2)", "pod: {type: name}"),
    ("kubectl delete pod ${POD}", "${POD} (argument 2)", "pod: {type: name}"),
    ("kubectl get pods -n ${ALERTS}", "${ALERTS} (--namespace)", "alerts: {type: name}"),
    ("kubectl get pods -n ${NS:-default}", "${NS:-default} (--namespace)", "ns: {type: name}"),
    ("kubectl get pods -n pr-<NUMBER>", "<NUMBER> (--namespace)", "number: {type: string}"),
    ("kubectl scale deployment/web --replicas=N", "N (--replicas)", "n: {type: integer}"),
    ("kubectl wait pod web --for=delete --timeout=TIME", "TIME (--timeout)", "time: {type: duration}"),
    ("kubectl rollout restart deployment/NAME", "NAME (argument 1)", "name: {type: string}"),
    ("kubectl set image $WEB web=nginx:1", "$WEB (argument 1)", "web: {type: string}"),
    ("curl http://web:$1/health", "$1 (argument 1)", "value: {type: string}"),
]


@pytest.mark.parametrize(("line", "what", "parameter"), PLACEHOLDERS)
def test_a_placeholder_is_called_one_with_its_place_and_the_parameter_to_declare(
    line: str, what: str, parameter: str
) -> None:
    name, _, _ = parameter.partition(":")
    assert f"{what} looks like a placeholder: write ${{params.{name}}}, with `{parameter}`" in told(line)
    written = line.replace(what.partition(" (")[0], f"${{params.{name}}}")
    parse_template(written, Scope(names={f"params.{name}": parameter_type(parameter[:-1].rpartition(" ")[2])}))


def test_all_placeholders_of_a_line_are_told_together_and_a_declared_parameter_is_not_declared_again() -> None:
    said = told("kubectl logs KNOWN -n NAMESPACE")
    assert "KNOWN (argument 1) and NAMESPACE (--namespace) look like placeholders" in said
    assert "write ${params.known} and ${params.namespace}, with `namespace: {type: name}` under" in said


@pytest.mark.parametrize("written", ["<resource>", "RESOURCE"])
def test_a_type_that_is_left_open_is_written_out(written: str) -> None:
    said = told(f"kubectl describe {written} NAME -n shop")
    assert f"kubectl describe: {written} (argument 1) and NAME (argument 2) look like placeholders" in said
    assert "write the type itself (as in pod) and ${params.name}, with `name: {type: name}` under" in said


def test_no_parameter_is_offered_where_no_argument_belongs() -> None:
    assert "placeholder" not in told("psql $DATABASE_URL -c 'SELECT 1'")


def test_capitals_that_are_valid_at_their_place_are_no_placeholder() -> None:
    parse_template("kubectl label node web STAGE=PROD", SCOPE)
    assert "PROD" not in told("kubectl label node NODE STAGE=PROD")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("aws ec2 describe-vpcs --vpc-ids <id>", "'aws' is not a known command"),
        ("kubectl debug node/$NODE -- chroot /host", "'kubectl debug' is no command of a runbook"),
        ("kubectl exec <pod> -- mongo", "'mongo' is not known to be read-only"),
        ("journalctl -u kubelet | grep x", "'journalctl' is not a known command"),
        ("helm get values $(helm ls -q)", "'helm' is not a known command"),
    ],
)
def test_nothing_else_is_told_of_a_line_that_only_a_person_runs(line: str, why: str) -> None:
    said = told(line)
    assert why in said
    assert said.endswith("write it as a step for a person: `manual:` with this command")


@pytest.mark.parametrize(
    ("line", "both"),
    [
        ("kubectl logs web --foo <pod>", ("the flag --foo is not known", "<pod> looks like")),
        ("kubectl get pods --as=$ME -n NS", ("--as is refused", "NS (--namespace) looks like")),
        ("kubectl scale deployment WEB --replicas=lots", ("--replicas: 'lots' is not", "WEB (argument 2) looks like")),
        ("kubectl get pdos | grep web", ("a pipe", "'pdos' is not a known type")),
        ("kubectl get pods -n NS 2>/dev/null", ("a redirect", "NS (--namespace) looks like")),
    ],
)
def test_two_mistakes_of_a_line_are_told_together(line: str, both: tuple[str, str]) -> None:
    said = told(line)
    assert both[0] in said
    assert both[1] in said


@pytest.mark.parametrize(
    ("line", "names"),
    [("kubectl get pods | wc", "read items in"), ("kubectl logs web | tail", "read lines, sources in")],
)
def test_a_pipe_is_told_with_what_the_command_before_it_gives(line: str, names: str) -> None:
    assert names in told(line)


def test_the_number_of_a_stream_is_no_word_of_the_command_before_a_redirect() -> None:
    assert "before it" not in told("kubectl get deployment/web 2>/dev/null")


def test_the_offset_points_at_the_mistake() -> None:
    with pytest.raises(CommandProblem) as caught:
        parse("kubectl get pods | grep web", namespace="x")
    assert caught.value.offset == len("kubectl get pods ")


DANGEROUS = [
    ("kubectl delete pods --all", "forEach"),
    ("kubectl delete pods -l app=web", "forEach"),
    ("kubectl delete pods -A", "forEach"),
    ("kubectl delete pods", "names no object"),
    ("kubectl delete pod a --force", "second one could start"),
    ("kubectl create job a --image=busybox", "does what a CronJob has"),
    ("kubectl create job a", "--from=TYPE/NAME is missing"),
    ("kubectl create job a --from=reindex", "not a known type of object"),
    ("kubectl create job a --from=cronjob", "names no object"),
    ("kubectl create job a --from=cronjob/b/c", "is not a name"),
    ("kubectl create job a --from=deployment/web", "does not take deployment"),
    ("kubectl delete pod a --grace-period=0", "kills without warning"),
    ("kubectl delete pod a --grace-period 0", "kills without warning"),
    ("kubectl delete pod a --now", "grace period"),
    ("kubectl delete deployment web", "only pods are deleted"),
    ("kubectl delete svc data", "only pods are deleted"),
    ("kubectl delete pod/a pv/b", "only pods are deleted"),
    ("kubectl delete -f x.yaml", "no files are read"),
    ("kubectl scale deployment web", "--replicas=N is missing"),
    ("kubectl scale deployment --all --replicas=1", "forEach"),
    ("kubectl scale deployment web --replicas=-1", "less than 0"),
    ("kubectl scale pod a --replicas=1", "does not take pod"),
    ("kubectl get secret a -o yaml", "-o yaml asks for more: a Secret's content must not reach Kintsugi; write a step"),
    ("kubectl get secret a -o jsonpath='{.data.password}'", "asks for more"),
    ("kubectl get pods,secrets -o custom-columns=A:.data", "asks for more"),
    ("kubectl get secret a --template='{{.data}}'", "--template asks for more"),
    ("kubectl get secrets --show-labels", "--show-labels asks for more"),
    ("kubectl get secrets -L app", "--label-columns asks for more"),
    ("kubectl get secrets --sort-by=.data.a", "--sort-by asks for more"),
    ("kubectl get secrets -A", "write -n NAMESPACE"),
    ("kubectl wait secret/a --for=jsonpath='{.data.a}'=b", "must not reach Kintsugi"),
    ("kubectl get --raw /api/v1/secrets", "is not read: a path begins with /healthz, /livez or /readyz"),
    ("kubectl get --raw /apis/metrics.k8s.io/../apps/v1/deployments", "is not read"),
    ("kubectl get --raw /apis/metrics.k8s.io/v1beta1/pods?watch=true", "is not read"),
    ("kubectl get --raw /metrics", "promtool query instant"),
    ("kubectl get --raw /readyz pods", "a path alone"),
    ("kubectl get pods --raw", "requires an argument"),
    ("kubectl auth can-i --list get pods", "takes no arguments"),
    ("kubectl auth can-i --list=false", "the flag --list is not known"),
    ("kubectl auth can-i --list --as=system:serviceaccount:a:b", "as itself"),
    ("kubectl get pods --context=other", "its own cluster"),
    ("kubectl get pods --as admin", "its own cluster"),
    ("kubectl get pods -w", "within"),
    ("kubectl get pods -l ''", "empty"),
    ("kubectl wait pods --all --for=condition=Ready", "may match no object"),
    ("kubectl label pods -l app=web a=b", "forEach"),
    ("kubectl patch deployment web -p 'x'", "not JSON"),
    ("kubectl patch deployment web -p '{}'", "not empty"),
    ("kubectl patch deployment web --type=json -p '{\"a\":1}'", "list of operations"),
    ("kubectl patch secret a -p '{\"a\":1}'", "does not take secret"),
    ("kubectl rollout pause statefulset/db", "does not take statefulset"),
    ("curl file:///etc/passwd", "http"),
    ("curl http://user:pass@a/x", "credentials"),
    ("curl -u a:b http://a/x", "credentials"),
    ("curl -H 'Authorization: Bearer x' http://a/x", "credentials"),
    ("curl -o /tmp/x http://a/x", "file"),
    ("curl -d @/etc/passwd http://a/x", "read a file"),
    ("curl http://a/x http://b/y", "1 argument"),
    ("nc db 5432", "nc -z"),
    ("nc -z db 99999", "not a port"),
    ("kubectl get pods -n ../x", "not a name"),
    ("kubectl get pods -n a -n b", "2 times"),
    ("kubectl get pod a -l app=web", "exclude each other"),
    ("kubectl get pod a -A", "does not take the name"),
    ("kubectl get pods,svc a", "several types"),
    ("kubectl logs a b c", "one pod"),
    ("kubectl logs a -c x --all-containers", "exclude each other"),
    ("kubectl", "not complete"),
    ("kintsugi backup fetch https://bucket/x --database=d", "not s3://BUCKET/PREFIX"),
    ("kintsugi backup fetch s3://user:pass@bucket/x --database=d", "not s3://BUCKET/PREFIX"),
    ("kintsugi backup fetch s3://bucket/../other --database=d", "points outside its folder"),
    ("kintsugi backup fetch s3://bucket/x?versionId=1 --database=d", "start of a word|not s3://"),
    ("kintsugi backup fetch s3://bucket/x", "--database=NAME is missing"),
    ("kintsugi backup fetch s3://bucket/x --database=-d", "not a name"),
    ("kintsugi backup fetch s3://bucket/x --database=d -U u", "with -h, too"),
    ("kintsugi pause", "a runbook knows 3 commands of kintsugi"),
    ("promtool check rules /x", "one command of promtool"),
    ("promtool query range http://a up", "one command of promtool"),
    ("promtool query instant http://a", "2 arguments"),
    ("promtool query instant http://a ''", "not a PromQL expression"),
    ("promtool query instant file:///etc up", "http"),
    ("promtool query instant http://user:pass@a up", "credentials"),
    ("promtool query instant 'http://a?x=1' up", "not the URL of a Prometheus"),
    ("promtool query instant http://a up --http.config.file=/x", "not known"),
    ("pg_restore -h d.p -U u -d d /backups/x", "all of it or nothing"),
    ("pg_restore -e -1 --clean -h d.p -U u -d d /backups/x", "drops existing objects"),
    ("pg_restore -e -1 -j 4 -h d.p -U u -d d /backups/x", "several transactions"),
    ("pg_restore -e -1 -W -h d.p -U u -d d /backups/x", "PGPASSWORD"),
    ("pg_restore -e -1 -U u -d d /backups/x", "--host=HOST is missing"),
    ("pg_restore -e -1 -h 10.0.0.7 -U u -d d /backups/x", "not a Service of the cluster"),
    ("pg_restore -e -1 -h db.example.co.uk -U u -d d /backups/x", "not a Service of the cluster"),
    ("pg_restore -e -1 -h d.p -U u -d d /etc/passwd", "not a file below /backups"),
    ("pg_restore -e -1 -h d.p -U u -d d /backups/../etc/passwd", "points outside its folder"),
    ("pg_restore -e -1 -h d.p -U u -d d", "1 argument"),
]


@pytest.mark.parametrize(("line", "why"), DANGEROUS)
def test_a_command_that_is_dangerous_or_has_no_sense_is_refused_with_its_reason(line: str, why: str) -> None:
    with pytest.raises(CommandProblem, match=why):
        parse(line, namespace="x")


NEAREST = [
    ("kubectl gte pods", "'kubectl get'"),
    ("kubectl rollout hystory deployment/x", "'kubectl rollout history'"),
    ("kubetcl get pods", "'kubectl'"),
    ("kubectl get podz", "pod"),
    ("kubectl get pods --namspace=x", "'--namespace'"),
    ("kubectl scale deployment x --replica=3", "'--replicas'"),
    ("curl --insecur http://a", "'--insecure'"),
]


@pytest.mark.parametrize(("line", "nearest"), NEAREST)
def test_the_nearest_known_word_is_suggested(line: str, nearest: str) -> None:
    with pytest.raises(CommandProblem, match=f"did you mean .*{nearest}"):
        parse(line, namespace="x")


@pytest.mark.parametrize("line", ["pg_dump app", "helm rollback web", "rm -rf /", "consul members", "crictl ps"])
def test_a_program_without_a_row_is_a_step_for_a_person_and_no_slip_of_another(line: str) -> None:
    with pytest.raises(
        CommandProblem, match=r"not a known command: known are .*; write it as a step for a person"
    ) as said:
        parse(line, namespace="x")
    assert not said.value.suggestion


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("kubectl apply -f x", "a step for a person: `manual:`"),
        ("kubectl create secret generic x", "a step for a person: `manual:`"),
        ("oc debug node/a", "a step for a person: `manual:`"),
        ("kubectl create -f x.yaml", "a step for a person: `manual:`"),
        ("kubectl argo rollouts promote web", "a step for a person: `manual:`"),
        ("kubectl delete secret web", "a step for a person: `manual:`"),
        ("redis-cli -h redis PING", "run it in a pod, kubectl exec TYPE/NAME -- redis-cli"),
        ("kubectl edit deployment web", "write kubectl patch with the field"),
        ("kubectl port-forward svc/web 8080", "curl http://SERVICE.NAMESPACE:PORT/PATH"),
        ("kubectl cluster-info", "leave it out"),
    ],
)
def test_a_verb_of_kubectl_that_no_runbook_has_says_what_to_write_instead(line: str, instead: str) -> None:
    with pytest.raises(CommandProblem, match=re.escape(instead)) as said:
        parse(line, namespace="x")
    assert not said.value.suggestion


FAR = [
    "kubectl gs cluster",
    "kubectl get pods --raw",
    "kubectl auth can-i --zones",
    "kubectl get co",
    "curl -O http://a",
    "kubectl exec web -- mongod",
    "kubectl exec web -- zcat /x",
    "promtail --version",
    "oc get routes",
]


@pytest.mark.parametrize("line", FAR)
def test_no_word_is_suggested_that_is_far_from_what_was_written_or_begins_otherwise(line: str) -> None:
    with pytest.raises(CommandProblem) as said:
        parse(line, namespace="x")
    assert not said.value.suggestion


EVERYTHING = (
    "pods,replicationcontrollers,services,daemonsets.apps,deployments.apps,replicasets.apps,statefulsets.apps,"
    "horizontalpodautoscalers.autoscaling,cronjobs.batch,jobs.batch"
)


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("kubectl get pods -o jsonpath='{.items[*].status.phase}'", "kubectl get pods"),
        ("kubectl get pods -o=custom-columns=NAME:.metadata.name -L app --show-kind", "kubectl get pods"),
        ("kubectl get pods -v=6 --request-timeout=5s --template='{{.x}}' -o go-template", "kubectl get pods"),
        ("kubectl top pods --containers", "kubectl top pods"),
        ("oc get pods", "kubectl get pods"),
        ("oc adm top nodes", "kubectl top nodes"),
        ("oc adm cordon node-1", "kubectl cordon node-1"),
        ("kubectl get all -l app=web", f"kubectl get {EVERYTHING} -l app=web"),
    ],
)
def test_what_only_shows_a_result_otherwise_and_oc_s_own_name_change_nothing(line: str, same: str) -> None:
    assert parse(line, namespace="x") == parse(same, namespace="x")


def test_a_command_that_needs_a_namespace_says_so() -> None:
    with pytest.raises(CommandProblem, match="-n NAMESPACE"):
        parse("kubectl get pods")


PIECES = "kubectl get delete pod pods web -n x -l app=web -- - / curl http://a nc -z ' \" ="


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES.split()) | st.text(max_size=5), max_size=7))
def test_any_line_is_a_command_or_a_problem(words: list[str]) -> None:
    try:
        command = parse(" ".join(words), namespace="x")
    except CommandProblem:
        return
    assert parse(render(command), namespace="x") == command
