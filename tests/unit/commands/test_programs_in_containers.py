"""Which programs a container may be asked, and with which words (P10); the admission policy is held to the same lines."""

import pytest

from kintsugi.commands import CommandProblem, parse, parse_template, render
from kintsugi.expressions import INT, STRING, Scope
from kintsugi.model.command import Exec

TAKEN = r"""
cat /etc/hosts /data/..2026_data/log
ls -la /var
head -n 5 /data/log
head -20 /data/log
tail -n +3 /data/log
tail -c 100 /data/log
wc -l /data/log
stat -c %s /data/log
df
df -h
df -Pk /a /b
df -hT /dev/shm
du -sh /data
du -h -d 1 /data/
find /data -maxdepth 2 -type f -name *.log -size +10M -mtime +7
ps aux
ps -ef
ps -eo pid,%mem,args --sort=-rss
ps aux --sort=-%mem
top -b -n 1
top -bn1 -c
free -h
iostat -xz 1 5
nvidia-smi
nvidia-smi dmon -c 10
nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader
env
printenv PATH
curl -s http://localhost:8080/health
curl -sSf -m 5 http://web.production:80/x?y=1
curl -o /dev/null -s -w %{http_code}\\n http://web
curl -sX GET -H Accept:text/plain https://web.production.svc.cluster.local/
curl localhost:9090/-/healthy
curl -I http://web-0.web.production.svc/
wget -qO- http://web:80/x
wget -q -O - -T 5 http://web
wget --spider -S http://web
nc -z db 5432
nc -zv -w 3 db.production 5432
nc -zvw3 db 5432
nslookup kubernetes.default
dig +short web.production.svc.cluster.local
dig web.production SRV
ping -c 3 -W 1 web
pg_isready -h 127.0.0.1 -t 3
redis-cli PING
redis-cli -p 6380 info replication
redis-cli GET session:1
redis-cli -n 3 LLEN queue
redis-cli CONFIG GET maxmemory-policy
redis-cli SLOWLOG GET 10
redis-cli MEMORY USAGE key
redis-cli -p 26379 SENTINEL get-master-addr-by-name mymaster
netstat -tlnp
ss -s
ip -s link show eth0
ip addr
etcdctl endpoint health --cluster -w table
etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/k/ca.crt --cert=/etc/k/c --key=/etc/k/key member list
etcdctl alarm list
ceph -s
ceph health detail -f json
ceph osd tree
patronictl -c /etc/patroni.yml list -f json
patronictl history
rabbitmq-diagnostics -q ping
rabbitmq-diagnostics check_port_listener 5672
rabbitmqctl list_queues name messages -p /
mongosh --eval "rs.status()"
mongosh --quiet --port 27018 --eval "db.serverStatus().wiredTiger.cache"
mongosh --eval "db.stats(1024*1024)" --quiet
mongosh mongodb://db:27017/admin --eval "db.adminCommand('ping')"
mongosh --eval="db.runCommand({ping:1})"
kafka-topics --bootstrap-server localhost:9092 --list
bin/kafka-topics.sh --describe --topic orders --bootstrap-server localhost:9092
/opt/kafka/bin/kafka-consumer-groups.sh --bootstrap-server localhost:9092 --describe --group orders --members
cilium status --brief
cilium-dbg status --verbose -o json
cilium service list
cilium bpf ct list global
cilium-health status --succinct
chronyc -n sources -v
date
date -u +%s
vault status -format=json
promtool check config /etc/prometheus/prometheus.yml
""".strip().splitlines()
REFUSED = [
    ("sh -c ls", "'sh' is not known to be read-only"),
    ("bash", "`manual:`"),
    ("cat passwd", "'passwd' is not taken"),
    ("cat", "it needs more words"),
    ("cat /run/secrets/token", "Secrets, /proc and devices are not"),
    ("cat /var/run/secrets/kubernetes.io/serviceaccount/token", "`manual:`"),
    ("cat /a/../proc/1/environ", "is not taken"),
    ("cat //proc/1/environ", "is not taken"),
    ("cat /run/./secrets/x", "is not taken"),
    ("cat /proc/1/environ", "/proc/1/environ is not read"),
    ("cat /dev/stdin", "/dev/stdin is not read"),
    ("head -c 10 /dev/sda", "/dev/sda is not read"),
    ("cat '/a /b'", "has a blank in it"),
    ("ls -R /", "'-R' is not taken"),
    ("tail -f /data/log", "'-f' is not taken"),
    ("du -sh /var/", "has Secrets or processes below it"),
    ("find / -name x", "name a folder further down"),
    ("find /run", "has Secrets or processes below it"),
    ("find /data -L", "'-L' is not taken"),
    *(
        (f"find /data -{each}", f"'-{each.split()[0]}' is not taken")
        for each in (
            "exec rm {} +",
            "execdir rm {} +",
            "ok rm {} +",
            "okdir rm {} +",
            "delete",
            "fprint /x",
            "fprintf /x %p",
            "fls /x",
            "files0-from /x",
        )
    ),
    ("ps auxe", "'auxe' is not taken"),
    ("ps e", "'e' is not taken"),
    ("ps -ef -aux", "'-aux' is not taken"),
    ("ps -eo pid,environ", "is not taken"),
    ("env sh", "'sh' is not taken"),
    ("env A=b sh", "is not taken"),
    ("env -u A", "is not taken"),
    ("curl -o f http://web", "'-o f' is not taken"),
    ("curl -O http://web", "'-O' is not taken"),
    ("curl -X POST http://web", "'-X POST' is not taken"),
    ("curl -d x http://web", "'-d x' is not taken"),
    ("curl -L http://web", "'-L' is not taken"),
    ("curl -u a:b http://web", "'-u a:b' is not taken"),
    ("curl -K /x http://web", "'-K /x' is not taken"),
    ("curl -w @/etc/passwd http://web", "is not taken"),
    ("curl -w %output{x} http://web", "is not taken"),
    ("curl -H Authorization:x http://web", "is not taken"),
    ("curl http://a:b@web", "is not taken"),
    ("curl http://10.0.0.1/", "is not taken"),
    ("curl http://www.example.co.uk/", "is not taken"),
    ("curl http://web.production.svc.evil.com/", "is not taken"),
    ("curl dict.production:6379/d:FLUSHALL", "is not taken"),
    ("curl file:///etc/passwd", "is not taken"),
    ("curl http://web http://web", "'http://web' is not taken"),
    ("wget http://web", "is not taken"),
    ("wget -qO- --post-data=x http://web", "'--post-data=x' is not taken"),
    ("wget -qO /tmp/x http://web", "is not taken"),
    ("nc db 5432", "is not taken"),
    ("nc -l -z 80", "is not taken"),
    ("nc -z -e sh db 5432", "'-e sh' is not taken"),
    ("nslookup web 8.8.8.8", "'8.8.8.8' is not taken"),
    ("dig @8.8.8.8 web", "is not taken"),
    ("dig -f /etc/passwd web", "'-f /etc/passwd' is not taken"),
    ("ping web", "is not taken"),
    ("ping -f -c 3 web", "'-f' is not taken"),
    ("redis-cli", "it needs more words"),
    ("redis-cli FLUSHALL", "'FLUSHALL' is not taken"),
    ("redis-cli FLUSHALL PING", "is not taken"),
    ("redis-cli -a secret PING", "'-a secret' is not taken"),
    ("redis-cli CONFIG SET dir /tmp", "is not taken"),
    ("redis-cli CONFIG GET RequirePass", "RequirePass is a password"),
    ("redis-cli CONFIG GET masterauth", "is a password"),
    ("redis-cli CONFIG GET *", "is not taken"),
    ("redis-cli CONFIG GET m*", "is not taken"),
    ("redis-cli SLOWLOG RESET", "is not taken"),
    ("redis-cli -x GET a", "'-x' is not taken"),
    ("redis-cli SENTINEL failover mymaster", "is not taken"),
    ("etcdctl del x", "'del x' is not taken"),
    ("etcdctl member remove x", "is not taken"),
    ("etcdctl --user=root:x member list", "is not taken"),
    ("etcdctl --endpoints=http://evil:2379 endpoint health", "is not taken"),
    ("ceph osd out 1", "is not taken"),
    ("ceph -s -o /x", "is not taken"),
    ("patronictl failover", "'failover' is not taken"),
    ("rabbitmqctl delete_queue x", "is not taken"),
    ("rabbitmqctl eval x", "is not taken"),
    ("rabbitmq-diagnostics remote_shell", "is not taken"),
    ("top", "it needs more words"),
    ("top -b", "is not taken"),
    ("top -b -n 1 -d 9", "'-d 9' is not taken"),
    ("free -s 1", "'-s 1' is not taken"),
    ("iostat -x 1", "'-x 1' is not taken"),
    ("iostat -x -f /x 1 5", "'-f /x' is not taken"),
    *(
        (f"nvidia-smi {each}", "is not taken")
        for each in ("-r", "-c 1", "-pm 1", "-pl 100", "dmon", "dmon -c 1 -f /x", "-l 1", "-f /x", "drain -m 1")
    ),
    *((f"ss {each}", "is not taken") for each in ("-K", "-tK", "-F /x", "-D /x", "-E", "-N x", "-tlnp dst 10.0.0.1")),
    ("netstat -c", "'-c' is not taken"),
    *(
        (f"ip {each}", "is not taken")
        for each in ("link set eth0 down", "addr flush eth0", "-b /x", "-n x addr", "netns exec x sh", "link show -b")
    ),
    *(
        (f"mongosh {each}", "is not taken")
        for each in (
            *('--eval "db.dropDatabase()"', '--eval "rs.status();db.dropDatabase()"', '--eval "rs.stepDown()"'),
            *('--eval "db.serverStatus().x()"', '--eval "db.stats(f())"', '--eval "db.currentOp().inprog" x.js'),
            *("--eval \"db.adminCommand('shutdown')\"", 'x.js --eval "rs.status()"', '--shell --eval "rs.status()"'),
            *('--eval "rs.status()" --eval "rs.status()"', '--eval "rs.status()" -f x.js'),
            *('-p x --eval "rs.status()"', 'mongodb://a:b@db --eval "rs.status()"'),
            *('mongodb://10.0.0.1 --eval "rs.status()"', 'mongodb+srv://db --eval "rs.status()"'),
        )
    ),
    *(
        (f"kafka-{each}", "is not taken")
        for each in (
            *("topics --bootstrap-server localhost:9092 --list --delete", "topics --create --topic x"),
            *("topics --bootstrap-server evil:9092 --list", "topics --list --command-config /x"),
            *("topics --alter --topic x", "topics --zookeeper zk:2181 --list", "consumer-groups --list --delete"),
            "consumer-groups --describe --group x --reset-offsets --to-latest --execute",
        )
    ),
    *(
        (f"{each} --list", "not known to be read-only")
        for each in ("kafka-console-producer.sh", "/tmp/kafka-topics.sh")
    ),
    *(
        (f"cilium {each}", "is not taken")
        for each in (
            "endpoint disconnect 1",
            "bpf lb delete 1",
            "config Debug=true",
            "bpf ct flush global",
            "status --host x",
        )
    ),
    *((each, "is not taken") for each in ("cilium-health status --probe", "cilium-health ping", "cilium-dbg identity")),
    *(
        (f"chronyc {each}", "is not taken")
        for each in ("makestep", "-h 10.0.0.1 tracking", "tracking makestep", "-m tracking")
    ),
    *((f"date {each}", "is not taken") for each in ("-s 2026-01-01", "010112002026", "-f /x", "--set=now", "-r /x")),
    *(
        (f"vault {each}", "is not taken")
        for each in ("kv get secret/x", "read x", "status -address=http://x", "operator seal")
    ),
    ("promtool check config /run/secrets/x", "is not read"),
    ("promtool tsdb analyze /prometheus", "is not taken"),
    ("pg_isready now", "'now' is not taken"),
    ("df --output=/x", "is not taken"),
]


@pytest.mark.parametrize("line", TAKEN)
def test_words_that_only_look_are_taken_and_can_be_pasted(line: str) -> None:
    words = line.replace("*.log", "'*.log'").replace("%{http_code}\\\\n", "'%{http_code}\\n'")
    command = parse(f"kubectl exec db-0 -- {words}", namespace="production")
    assert isinstance(command, Exec)
    assert parse(render(command)) == command


@pytest.mark.parametrize(("line", "why"), REFUSED, ids=[line for line, _ in REFUSED])
def test_words_that_may_do_more_are_refused_and_left_to_a_person(line: str, why: str) -> None:
    quoted = " ".join(f"'{word}'" if set(word) & set("*{}") else word for word in line.split(" "))
    with pytest.raises(CommandProblem) as refused:
        parse(f"kubectl exec db-0 -- {quoted}", namespace="production")
    assert why in str(refused.value)
    assert "`manual:`" in str(refused.value)


@pytest.mark.parametrize(
    "words",
    ["cat ${name}", "tail -n ${number} /data/log", "nc -z ${name} 80", "curl http://${name}:80/", "cat /data/${name}"],
)
def test_a_value_may_stand_where_it_can_be_what_the_program_takes(words: str) -> None:
    scope = Scope(names={"name": STRING, "number": INT})
    template = parse_template(f"kubectl exec db-0 -- {words}", scope)
    with pytest.raises(CommandProblem):
        template.bind({"name": "-x", "number": -1}, namespace="production")
