"""
The programs that only read, which `kubectl exec` runs in a container, and the bounds of their words.

A form is an expression in RE2's dialect over all the words with one blank between them; no word has a blank in it. The admission
policy `kintsugi-exec` has the same forms: `python -m tests.unit.project.guides` writes them there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from kintsugi.commands import queries
from kintsugi.commands.command_problem import BY_A_PERSON, CommandProblem


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOnlyProgram:
    """
    One program: `usage` for people, `form` bounds the words after its name.

    `reads` says that its paths are looked into, `recursive` that it goes through all that is below them, and `asks` that it
    sends something to a host.
    """

    usage: str
    form: str
    reads: bool = False
    recursive: bool = False
    asks: bool = False


def _options(*options: str) -> str:
    return f"(?: (?:{'|'.join(options)}))*"


def _around(options: Sequence[str], rest: str) -> str:
    """Options may stand before and after the other words."""
    return f"{_options(*options)} (?:{rest}){_options(*options)}"


def _files(*options: str) -> str:
    """Options and at least one path, in any order."""
    return f"{_options(*options)} {_PATH}{_options(*options, _PATH)}"


_SEGMENT = r"\.{0,2}[^./\s][^/\s]*"
_PATH = rf"/(?:{_SEGMENT}(?:/{_SEGMENT})*/?)?"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.:@-]*"
_VALUE = r"[^-\s]\S*"
_SECONDS = r"[0-9]{1,3}"

_LABEL = "[a-z](?:[-a-z0-9]*[a-z0-9])?"
_PLACE = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_LOCAL = r"localhost|127\.0\.0\.1"
_SERVICE = rf"{_LABEL}\.{_PLACE}|(?:{_PLACE}\.)?{_LABEL}\.{_PLACE}\.svc(?:\.cluster\.local)?\.?"
_HOST = f"(?:{_LOCAL}|{_LABEL}|{_SERVICE})"
_URL = rf"(?:https?://(?:{_HOST}|\[::1\])|{_LOCAL}|{_LABEL})(?::[0-9]{{1,5}})?(?:[/?][A-Za-z0-9_.~%/?&=:,+@!;-]*)?"
"""A host with a dot needs its scheme: curl takes `dict.production` for another protocol, with which commands are sent."""

_HOST_WORD = re.compile(rf"(?:(?:https?|mongodb)://)?({_HOST}|\[::1\])(?::[0-9]+)?(?:[/?]\S*)?", re.ASCII)
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})

HIDDEN = r"/(?:(?:proc|(?:var/)?run/secrets|vault/secrets)(?:/.*)?|dev/(?:[^sn]|s[^h]|n[^u]).*)"
"""Paths that no program is given: processes with their environment, Secrets where Kubernetes and Vault mount them, devices."""

ABOVE = r"/(?:var(?:/run)?|run|vault)?/?"
"""The folders above some of them, which are not gone through."""

SCRIPT = r"(?:(?:/opt/(?:bitnami/)?kafka/|\./)?bin/)?kafka-[a-z-]+(?:\.sh)?"
"""How a script of Kafka may be named: in the folders of its images, and with its ending."""

UNSAID = r"(?i:requirepass|(?:master|primary)auth|tls-(?:client-)?key-file-pass)"
"""The settings of Redis that hold passwords."""

_FIELDS = (
    r"(?:%cpu|%mem|args|cmd|comm|command|egroup|etimes?|euser|group|lstart|ni|nlwp|pcpu|pgid|pid|pmem|ppid|pri|psr|rgroup|rss|ruser|sid|"
    r"size|start|start_time|state?|stat|stime|sz|thcount|time|tid|tty|uid|user|vsize|vsz|wchan)"
)
_PS = (
    rf"(?: (?:[auxwfjlm]+|-(?:e|A|ef|efww?|eF|el|ely|eLf)|(?:(?:-[eA]|ax|-p ?[0-9]+) )?-o ?{_FIELDS}(?:,{_FIELDS})*|"
    rf"(?:-[eA]|ax)o {_FIELDS}(?:,{_FIELDS})*))?(?: --sort[= ][+-]?{_FIELDS})?"
)
"""One group of options alone: procps reads what it does not understand once more as BSD's, where `e` shows the environment."""

_COUNT = r"[+-]?[0-9]+"
_FIND = (
    *(r"-(?:max|min)depth [0-9]+", r"-xdev|-mount|-empty|-print0?|-ls|-not|-a|-and|-o|-or|!|\(|\)|-nouser|-nogroup"),
    *(r"-type [bcdpfls]", r"-i?name [^-/\s][^/\s]*", rf"-size {_COUNT}[bcwkMG]?", rf"-[mac](?:time|min) {_COUNT}"),
    *(rf"-newer {_PATH}", rf"-(?:user|group) {_NAME}", r"-perm [-/]?[0-7augorwxst=+,]+", r"-printf [%A-Za-z][^/\s]*"),
)
_CURL_FORMAT = r"(?:%\{[a-z_]+\}|\\n)(?:%\{[a-z_]+\}|\\n|[:=,._A-Za-z0-9-])*"
_CURL = (
    *("-[sSfIikvg4]+", rf"-[sSfIikvg4]*(?:o ?(?:/dev/null|-)|w ?{_CURL_FORMAT}|m ?{_SECONDS}|X ?(?:GET|HEAD))"),
    "--(?:silent|show-error|fail|head|include|insecure|verbose|globoff|ipv4)",
    rf"--(?:max-time|connect-timeout)[= ]{_SECONDS}",
    rf"--output[= ](?:/dev/null|-)|--write-out[= ]{_CURL_FORMAT}|--request[= ](?:GET|HEAD)",
    r"(?:-H ?|--header[= ])(?:Accept|Host|User-Agent|X-Forwarded-Proto):[A-Za-z0-9_.*/:+;,=-]+",
)
_WGET = (
    *("-[qS]+|-nv", rf"-q?[Tt] ?{_SECONDS}|--(?:timeout|tries)={_SECONDS}"),
    *("--(?:quiet|no-verbose|server-response|no-check-certificate)|--max-redirect=0", "-4"),
)
_NC = ("-[vn4]+", f"-w ?{_SECONDS}")
_DIG = (
    r"\+(?:short|search|noall|answer|tcp|time=[0-9]|tries=[0-9])",
    "(?:-t )?(?:A|AAAA|ANY|CNAME|NS|PTR|SOA|SRV|TXT)",
)
_PING = ("-[qn4]+", "-[Wwi] ?[1-9][0-9]?")
_ETCDCTL = (
    r"(?:-w ?=?|--write-out[= ])(?:table|json|simple|fields)",
    r"--endpoints[= ](?:https?://)?(?:localhost|127\.0\.0\.1)(?::[0-9]+)?",
    rf"--(?:cacert|cert|key)[= ]{_PATH}",
    *(r"--(?:dial|command)-timeout[= ][0-9]{1,3}s", "--cluster"),
)
_RABBIT = (
    rf"-q|--quiet|-s|--silent|(?:-t |--timeout[= ]){_SECONDS}|(?:-p |--vhost[= ]){_VALUE}",
    "--formatter[= ](?:json|table|csv|pretty_table|erlang)|--online|--offline|--local",
)
_LISTS = "list_[a-z_]+(?: [a-z_]+)*"
_REDIS = (
    "PING|INFO(?: [a-z]+)?|ROLE|DBSIZE|LASTSAVE|CLIENT LIST|CLUSTER (?:INFO|NODES|SLOTS|SHARDS)",
    rf"(?:GET|LLEN|TTL|PTTL|TYPE|EXISTS|STRLEN|HLEN|SCARD|ZCARD|XLEN) {_VALUE}",
    r"CONFIG GET (?:[a-z][a-z-]*|maxmemory\*)|SLOWLOG (?:LEN|GET(?: [0-9]+)?)",
    rf"MEMORY (?:STATS|DOCTOR|USAGE {_VALUE})|LATENCY (?:DOCTOR|LATEST|HISTORY [a-z-]+)",
    rf"SENTINEL (?:MASTERS|(?:MASTER|REPLICAS|SLAVES|SENTINELS|CKQUORUM|GET-MASTER-ADDR-BY-NAME) {_NAME})",
)
_SOCKETS = _options("-[tulnpaxseiow46]+")
_LINK = "(?:dev )?[a-z][a-z0-9.-]*"
_MONGO = (
    *(r"rs\.(?:status|conf|printSecondaryReplicationInfo)\(\)", r"db\.(?:currentOp|getUsers)\(\)"),
    *(r"db\.serverStatus\(\)(?:\.[a-z][A-Za-z]*)*", r"db\.stats\((?:[0-9]+(?:\*[0-9]+)*)?\)"),
    r"db\.(?:adminCommand|runCommand)\((?:[\x22\x27]ping[\x22\x27]|\{ping:1\})\)",
)
"""Whole expressions: of those that a shell of JavaScript takes, the ones that are known to only ask. \\x22 and \\x27 are quotes."""

_KAFKA = (r"--bootstrap-server[= ](?:localhost|127\.0\.0\.1):[0-9]{1,5}",)
_CILIUM = (
    "status(?: --(?:brief|verbose))?|encrypt status|(?:endpoint|identity|ip|node|service) list|bpf ct list global|"
    "bpf (?:endpoint|ipcache|lb|nat) list"
)
_CEPH = (
    *("-s|status|health(?: detail)?|df(?: detail)?|versions|quorum_status|fs status", "(?:mon|mgr|pg) stat"),
    "osd (?:tree|df(?: tree)?|stat|status|perf|pool stats)",
)

PROGRAMS: Mapping[str, ReadOnlyProgram] = {
    "psql": ReadOnlyProgram(usage=queries.USAGE, form=""),
    "pg_isready": ReadOnlyProgram(
        usage="pg_isready [-h HOST] [-p PORT] [-U USER] [-d DATABASE] [-t SECONDS] [-q]",
        form=_options(rf"-[hpUdt] ?{_VALUE}", "-q"),
    ),
    "redis-cli": ReadOnlyProgram(
        usage="redis-cli [-h HOST] [-p PORT] [-n NUMBER] PING|INFO [SECTION]|ROLE|DBSIZE|LASTSAVE|CLIENT LIST"
        "|CLUSTER INFO|NODES|SLOTS|SHARDS|GET|LLEN|TTL|PTTL|TYPE|EXISTS|STRLEN|HLEN|SCARD|ZCARD|XLEN KEY|CONFIG GET NAME"
        "|SLOWLOG LEN|GET [N]|MEMORY STATS|DOCTOR|USAGE KEY|LATENCY DOCTOR|LATEST|HISTORY EVENT"
        "|SENTINEL MASTERS|MASTER|REPLICAS|SLAVES|SENTINELS|CKQUORUM|GET-MASTER-ADDR-BY-NAME NAME",
        form=f"{_options(f'-[hpn] ?{_VALUE}', '--(?:raw|no-raw|tls|no-auth-warning)')} (?i:{'|'.join(_REDIS)})",
    ),
    "cat": ReadOnlyProgram(usage="cat [-nAbsETv] PATH…", form=_files("-[nAbsETv]+"), reads=True),
    "head": ReadOnlyProgram(
        usage="head [-n LINES | -c BYTES | -LINES] PATH…",
        form=_files("-[nc] ?-?[0-9]+[kKMG]?", "-[0-9]+|-[qv]"),
        reads=True,
    ),
    "tail": ReadOnlyProgram(
        usage="tail [-n [+]LINES | -c BYTES | -LINES] PATH…",
        form=_files(r"-[nc] ?[+-]?[0-9]+[kKMG]?", "-[0-9]+|-[qv]"),
        reads=True,
    ),
    "wc": ReadOnlyProgram(usage="wc [-lcwm] PATH…", form=_files("-[lcwm]+"), reads=True),
    "ls": ReadOnlyProgram(
        usage="ls [-laAhtrSdin1F] [--full-time] PATH…", form=_files("-[laAhtrSdin1Fsgopcu]+", "--full-time"), reads=True
    ),
    "stat": ReadOnlyProgram(
        usage="stat [-t] [-f] [-c FORMAT] PATH…",
        form=_files("-[tf]+", r"(?:-c ?|--format=)[%A-Za-z][^/\s]*"),
        reads=True,
    ),
    "df": ReadOnlyProgram(usage="df [-hkmPTial] [PATH…]", form=_options("-[hkmPTial]+", "--human-readable", _VALUE)),
    "du": ReadOnlyProgram(
        usage="du [-shkmcax] [-d N] [--apparent-size] PATH…",
        form=_files(
            *("-[shkmcax]+", "-[shkmcax]*d ?[0-9]+|--max-depth[= ][0-9]+"),
            "--(?:summarize|human-readable|apparent-size|one-file-system|total)",
        ),
        reads=True,
        recursive=True,
    ),
    "find": ReadOnlyProgram(
        usage="find PATH… [-maxdepth N] [-mindepth N] [-xdev] [-type T] [-name|-iname PATTERN] [-size N] [-mtime|-mmin N] "
        "[-newer PATH] [-empty] [-user|-group NAME] [-perm MODE] [-not|-o|-a] [-print|-ls|-printf FORMAT]",
        form=f"(?: {_PATH})+{_options(*_FIND)}",
        reads=True,
        recursive=True,
    ),
    "ps": ReadOnlyProgram(usage="ps [aux | -ef | [-e] -o FIELD,…] [--sort=[-]FIELD]", form=_PS),
    "top": ReadOnlyProgram(
        usage="top -b -n N [-cHi]", form=_around(("-[cHi]+",), "-b[cHi]*(?: -)?n ?[1-9]|-n ?[1-9] -b")
    ),
    "free": ReadOnlyProgram(usage="free [-bkmghtwl]", form=_options("-[bkmghtwl]+")),
    "iostat": ReadOnlyProgram(
        usage="iostat [-xdckmhtyzN] [SECONDS COUNT]", form=f"{_options('-[xdckmhtyzN]+')}(?: [1-9] [1-9][0-9]?)?"
    ),
    "nvidia-smi": ReadOnlyProgram(
        usage="nvidia-smi [dmon -c N | --query-gpu=FIELD,… --format=csv[,noheader][,nounits]]",
        form="(?: dmon -c [1-9][0-9]?| --query-gpu=[a-z0-9._,]+ --format=csv(?:,noheader)?(?:,nounits)?)?",
    ),
    "env": ReadOnlyProgram(usage="env", form=""),
    "printenv": ReadOnlyProgram(usage="printenv [NAME]", form="(?: [A-Za-z_][A-Za-z0-9_]*)?"),
    "curl": ReadOnlyProgram(
        usage="curl [-sSfIikv] [-m SECONDS] [-X GET|HEAD] [-H NAME:VALUE] [-w FORMAT] [-o /dev/null] http[s]://HOST[:PORT][/PATH]",
        form=_around(_CURL, _URL),
        asks=True,
    ),
    "wget": ReadOnlyProgram(
        usage="wget -qO- | --spider [-S] [-T SECONDS] [-t N] http[s]://HOST[:PORT][/PATH]",
        form=f"{_options(*_WGET)} (?:-q?O ?(?:-|/dev/null)|--output-document=-|--spider){_around(_WGET, _URL)}",
        asks=True,
    ),
    "nc": ReadOnlyProgram(
        usage="nc -z [-v] [-w SECONDS] HOST PORT",
        form=f"{_options(*_NC)} -[vn4]*z[vn4]*(?:w ?{_SECONDS})?{_around(_NC, f'{_HOST} [0-9]{{1,5}}')}",
        asks=True,
    ),
    "nslookup": ReadOnlyProgram(
        usage="nslookup [-type=TYPE] HOST", form=f"{_options('-type=[A-Za-z]+', '-timeout=[0-9]+')} {_HOST}", asks=True
    ),
    "dig": ReadOnlyProgram(usage="dig [+short] [+search] HOST [TYPE]", form=_around(_DIG, _HOST), asks=True),
    "ping": ReadOnlyProgram(
        usage="ping -c N [-W SECONDS] HOST",
        form=f"{_options(*_PING)} -[qn4]*c ?[1-9][0-9]?{_around(_PING, _HOST)}",
        asks=True,
    ),
    "netstat": ReadOnlyProgram(usage="netstat [-tulnpaxseiow46]", form=_SOCKETS),
    "ss": ReadOnlyProgram(usage="ss [-tulnpaxseiow46]", form=_SOCKETS),
    "ip": ReadOnlyProgram(
        usage="ip [-s] [-d] [-4|-6] [-br] addr|link|route [show [[dev] NAME]]",
        form=f"{_options('-(?:s|d|4|6|br)')} (?:addr|link|route)(?: show(?: {_LINK})?)?",
    ),
    "etcdctl": ReadOnlyProgram(
        usage="etcdctl [-w FORMAT] [--endpoints=localhost:PORT] [--cacert=PATH --cert=PATH --key=PATH] "
        "endpoint health|status [--cluster]|member list|alarm list",
        form=_around(_ETCDCTL, "endpoint (?:health|status)|member list|alarm list"),
    ),
    "ceph": ReadOnlyProgram(
        usage="ceph [-f FORMAT] status|-s|health [detail]|osd tree|df|stat|status|perf|pool stats|df [detail]|mon stat|mgr stat"
        "|pg stat|fs status|quorum_status|versions",
        form=_around(("(?:-f ?|--format[= ])(?:json|json-pretty|plain)",), "|".join(_CEPH)),
    ),
    "patronictl": ReadOnlyProgram(
        usage="patronictl [-c PATH] list|history|topology [CLUSTER] [-f FORMAT] [-e] [-t]",
        form=rf"(?: -c {_PATH})? (?:list|history|topology)"
        + _options("-[et]+|--extended|--timestamp", "(?:-f ?|--format[= ])(?:json|yaml|yml|tsv|pretty)", _NAME),
    ),
    "rabbitmq-diagnostics": ReadOnlyProgram(
        usage="rabbitmq-diagnostics [-q] [-t SECONDS] [-p VHOST] [--formatter=FORMAT] status|ping|cluster_status|alarms|listeners"
        "|memory_breakdown|check_…|list_…",
        form=_around(
            _RABBIT, f"status|ping|cluster_status|alarms|listeners|memory_breakdown|check_[a-z_]+(?: [0-9]+)?|{_LISTS}"
        ),
    ),
    "rabbitmqctl": ReadOnlyProgram(
        usage="rabbitmqctl [-q] [-t SECONDS] [-p VHOST] [--formatter=FORMAT] status|ping|cluster_status|list_…",
        form=_around(_RABBIT, f"status|ping|cluster_status|{_LISTS}"),
    ),
    "mongosh": ReadOnlyProgram(
        usage="mongosh [mongodb://HOST[:PORT][/DATABASE]] [--quiet] [--port N] --eval EXPRESSION, which is rs.status(), rs.conf(), "
        "rs.printSecondaryReplicationInfo(), db.serverStatus()[.FIELD…], db.stats([N]), db.currentOp(), db.getUsers(), "
        "db.adminCommand('ping') or db.adminCommand({ping:1})",
        form=rf"(?: mongodb://{_HOST}(?::[0-9]{{1,5}})?(?:/\w*)?)?"
        + _around(("--quiet", "--port[= ][0-9]{1,5}"), f"--eval[= ](?:{'|'.join(_MONGO)})"),
        asks=True,
    ),
    "kafka-topics": ReadOnlyProgram(
        usage="kafka-topics[.sh] --bootstrap-server localhost:PORT --list|--describe [--topic NAME] "
        "[--under-replicated-partitions|--unavailable-partitions]",
        form=_around(
            (*_KAFKA, f"--topic[= ]{_NAME}", "--(?:under-replicated|unavailable)-partitions|--exclude-internal"),
            "--list|--describe",
        ),
    ),
    "kafka-consumer-groups": ReadOnlyProgram(
        usage="kafka-consumer-groups[.sh] --bootstrap-server localhost:PORT --list|--describe [--group NAME|--all-groups] "
        "[--members] [--state] [--offsets] [--verbose]",
        form=_around(
            (*_KAFKA, f"--group[= ]{_NAME}", "--(?:all-groups|members|state|offsets|verbose)"), "--list|--describe"
        ),
    ),
    **dict.fromkeys(
        ("cilium", "cilium-dbg"),
        ReadOnlyProgram(
            usage="cilium[-dbg] status [--brief|--verbose]|encrypt status|endpoint|identity|ip|node|service list"
            "|bpf ct list global|bpf endpoint|ipcache|lb|nat list [-o json]",
            form=_around(("(?:-o ?|--output[= ])json",), _CILIUM),
        ),
    ),
    "cilium-health": ReadOnlyProgram(
        usage="cilium-health status [--succinct] [--verbose]", form=" status(?: --(?:succinct|verbose))*"
    ),
    "chronyc": ReadOnlyProgram(
        usage="chronyc [-n] tracking|activity|sources [-v]|sourcestats [-v]",
        form=r"(?: -n)? (?:tracking|activity|sources(?: -v)?|sourcestats(?: -v)?)",
    ),
    "date": ReadOnlyProgram(usage="date [-u] [+FORMAT]", form=r"(?: -u| --utc)?(?: \+[%A-Za-z0-9:./_-]+)?"),
    "vault": ReadOnlyProgram(usage="vault status [-format=json]", form=" status(?: -format=(?:json|yaml|table))?"),
    "promtool": ReadOnlyProgram(
        usage="promtool check config|rules [--syntax-only] PATH…",
        form=f" check (?:config|rules){_files('--syntax-only|--lint=[a-z-]+')}",
        reads=True,
    ),
}
POSIX_DF = f"df (?:-P -k|-k -P|-Pk|-kP) {_VALUE}"
"""The one form of df whose answer is the same everywhere, and is read: POSIX's, in KiB, of one place."""


def name_of(word: str) -> str:
    """Return the name in the table of what a command begins with, the word itself where the table has none for it."""
    return word.rpartition("/")[2].removesuffix(".sh") if re.fullmatch(SCRIPT, word) else word


def program_of(argv: Sequence[str]) -> ReadOnlyProgram:
    """Return the row of a program of the table."""
    return PROGRAMS[name_of(argv[0])]


def check(argv: Sequence[str]) -> None:
    """Refuse words with which a program of the table might do more than look: raises CommandProblem. `psql` has `check_psql`."""
    name, program = argv[0], program_of(argv)
    if not _is_taken(argv):
        raise CommandProblem(
            f"{name}: {_wrong(argv)}; it is written: {program.usage}; for anything else, {BY_A_PERSON}"
        )
    for word in argv[1:]:
        if re.fullmatch(UNSAID, word):
            raise CommandProblem(f"{name}: {word} is a password: a runbook does not read it; {BY_A_PERSON}")
        if re.fullmatch(HIDDEN, word):
            raise CommandProblem(
                f"{name}: {word} is not read: Secrets, /proc and devices are not (docs/security.md); {BY_A_PERSON}"
            )
        if program.recursive and re.fullmatch(ABOVE, word):
            raise CommandProblem(
                f"{name}: {word} has Secrets or processes below it: name a folder further down; or {BY_A_PERSON}"
            )


def is_form(form: str, argv: Sequence[str]) -> bool:
    """Return whether the words of a program are of a form."""
    return not any(map(_has_blank, argv)) and _compiled(form).fullmatch(" ".join(argv)) is not None


def hosts_of(argv: Sequence[str]) -> Iterator[str]:
    """Return the hosts that a program of the table asks, none of one that asks none."""
    if program_of(argv).asks:
        yield from (found[1] for word in argv[1:] if (found := _HOST_WORD.fullmatch(word)))


def paths_of(argv: Sequence[str]) -> Iterator[str]:
    """Return the paths that a program of the table looks into, none of one that looks into none."""
    if program_of(argv).reads:
        yield from (word for word in argv[1:] if word.startswith("/"))


@cache
def _compiled(form: str) -> re.Pattern[str]:
    return re.compile(form, re.ASCII)


def _is_taken(argv: Sequence[str]) -> bool:
    return is_form(f"{argv[0]}{program_of(argv).form}", argv)


def _has_blank(word: str) -> bool:
    return not word or any(character.isspace() for character in word)


def _wrong(argv: Sequence[str]) -> str:
    """Return what is not taken: an option without which the rest is, else what follows the words that are."""
    if blank := next(filter(_has_blank, argv), None):
        return f"{blank!r} has a blank in it, which no word may have"
    words = list(argv)
    for count in (1, 2):
        for at in range(1, len(words) - count + 1):
            if words[at].startswith("-") and _is_taken(words[:at] + words[at + count :]):
                return f"{' '.join(words[at : at + count])!r} is not taken"
    taken = next((at for at in range(len(words) - 1, 0, -1) if _is_taken(words[:at])), 0)
    rest = " ".join(words[taken : taken + 1] if taken else words[1:])
    return f"{rest!r} is not taken" if rest else "it needs more words"
