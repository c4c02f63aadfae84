"""Reads the shell code of a page into statements: which command, what is done with its output, what is assigned or repeated."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from kintsugi_import.page import Code

_PARSER = Parser(Language(tree_sitter_bash.language()))

SHELLS = frozenset({"bash", "sh", "shell", "zsh", "ksh"})
_MAYBE = frozenset(
    {"", "console", "terminal", "shell-session", "shellsession", "sh-session", "text", "txt", "plaintext"}
    | {"command", "kubectl", "cmd", "bat"}
)
_POWERSHELL = frozenset({"powershell", "ps1", "pwsh"})
KUBECTL = frozenset({"kubectl", "oc"})
_PROGRAMS = KUBECTL | {
    *(
        "chroot",
        "nsenter",
        "dmesg",
        "lsblk",
        "ps",
        "df",
        "du",
        "free",
        "top",
        "uptime",
        "vmstat",
        "iostat",
        "sar",
        "mount",
        "umount",
    ),
    *(
        "fsck",
        "ls",
        "cat",
        "find",
        "rm",
        "mv",
        "cp",
        "tar",
        "git",
        "ethtool",
        "ss",
        "netstat",
        "tcpdump",
        "traceroute",
        "sysctl",
    ),
    *(
        "python",
        "python3",
        "ansible-playbook",
        "make",
        "kill",
        "service",
        "toolbox",
        "ovs-vsctl",
        "ovs-appctl",
        "ovn-appctl",
    ),
    *(
        "curl",
        "wget",
        "psql",
        "pg_restore",
        "pg_dump",
        "pg_isready",
        "mysql",
        "mongosh",
        "redis-cli",
        "nslookup",
        "dig",
        "nc",
    ),
    *(
        "ping",
        "etcdctl",
        "ceph",
        "patronictl",
        "systemctl",
        "journalctl",
        "crictl",
        "docker",
        "podman",
        "helm",
        "argocd",
    ),
    *(
        "flux",
        "istioctl",
        "cilium",
        "calicoctl",
        "velero",
        "vault",
        "consul",
        "nomad",
        "terraform",
        "ansible",
        "aws",
        "gcloud",
    ),
    *(
        "az",
        "ssh",
        "scp",
        "sudo",
        "watch",
        "promtool",
        "amtool",
        "logcli",
        "kintsugi",
        "rabbitmqctl",
        "rabbitmq-diagnostics",
    ),
    *(
        "kubeadm",
        "etcdutl",
        "openssl",
        "iptables",
        "ip",
        "virsh",
        "virtctl",
        "mc",
        "rclone",
        "restic",
        "stern",
        "k9s",
        "tkn",
    ),
    *(
        "kafka-topics.sh",
        "nodetool",
        "cqlsh",
        "clickhouse-client",
        "rosa",
        "ocm",
        "cmctl",
        "linkerd",
        "kustomize",
        "eksctl",
    ),
}
"""The programs by which a text without a language, or within a sentence, is known to be a command."""

_PROMPT = re.compile(
    r"^\s*(?:(?:\[[\w.-]+@[^\]$#]*\]|[\w.-]+@[^\s$#]*)\s*)?[$%](?:\s+|$)"
    r"|^\s*(?:(?:\[[\w.-]+@[^\]$#]*\]|[\w.-]+@[^\s$#]*)\s*)?[#>]\s+(?=(?:kubectl|oc)\s)|^\s*(?:sh|bash)-[\d.]+[#$]\s+"
)
IN_BRACKETS = (
    r"\{\{\s*\$?\.?([A-Za-z][\w. -]{0,60})\s*\}\}|(?<=[\s=/:\"'])\[([A-Za-z][A-Za-z0-9_ -]{1,40})\](?=[\s/:\"']|$)"
    r"|(?<=[\w\s=/:.,\"'-])\{(?!end\})([A-Za-z][A-Za-z0-9_-]{0,40})\}(?=[\s/:.,_\"'-]|$)"
)
"""What a page leaves open, in brackets: `{{ $labels.pod }}`, `[pod]`, `web-{number}`; `{end}` is jsonpath's own."""
_PLACEHOLDER = re.compile(r"<(?!<)([A-Za-z][^<>\n|&;]{0,60})>|" + IN_BRACKETS, re.MULTILINE)
_MARK = re.compile(r"PLACEHOLDER_(\d+)_")
_WORD = re.compile(r"\s*([^\s|;&]+)")
_NAMED = re.compile(r"^\s*[-*•]?\s*(?:\d+[.)]\s*)?([A-Z][^:|`$]{1,60}):\s+(?=(?:kubectl|oc)\s)")
"""What names a command before it in its own line: `Node health: kubectl get nodes`."""
_KNOWN_WITHIN = re.compile(rf"(?:^|[\s(`;|])(?:{'|'.join(map(re.escape, sorted(_PROGRAMS)))})\s")
_CLIENT = re.compile(
    r"(?:^|\s--\s+|^(?:docker|podman) exec .*\s)(psql|mysql|mariadb|mongosh?|cqlsh|clickhouse-client|redis-cli)(?=\s|$)"
)
_QUESTION = re.compile(r"\s-\w*[cefq]\b|--(?:command|execute|eval|file|query)\b|[<|>\\]")
_REDIS_OPTIONS = re.compile(r"(?: -[hpna] ?\S+| --\S+)*\s*")
"""A client of a database, and what stands behind it where it is asked something; redis-cli is, unless only options stand there."""
_STARTS_CODE = re.compile(r"(?:export\s+)?[A-Za-z_]\w*=|for\s|while\s|if\s|#")


LONGEST = 2000
"""
Characters of a command that is read: the time of some patterns grows with its square. The longest of 395 public pages has 390.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """
    A command of a page.

    `text` stands on the page; `command` is the text without `filters`: pipes and redirects of its output, in the page's order.
    `variable` gets the output, or `value` where nothing runs. `items` are the words that a loop puts in `variable` for its `body`.
    `inner` are the commands whose output is a part of this one, or what a loop goes over: `command` has their variables instead.
    `whole` is False for what only a shell can do: then `command` is `text`.
    """

    text: str
    line: int
    command: str
    comment: str = ""
    filters: tuple[str, ...] = ()
    variable: str = ""
    value: str = ""
    items: tuple[str, ...] = ()
    body: "tuple[Statement, ...]" = ()
    inner: "tuple[Statement, ...]" = ()
    whole: bool = True

    @property
    def words(self) -> list[str]:
        """Return its words as far as blanks part them."""
        return self.command.split()


def known_program(text: str) -> bool:
    """Return whether a text begins with a program, behind a prompt and `sudo` or the like."""
    first = _WORD.match(_PROMPT.sub("", text))
    return first is not None and first[1] in _PROGRAMS and len(text.split()) > 1


def enters(statement: Statement) -> bool:
    """Return whether a command opens a shell somewhere else, or the client of a database: what follows it is typed there."""
    words = statement.words
    return (
        words[:1] == ["ssh"]
        or (statement.whole and _opens_client(statement.command))
        or (
            bool(words)
            and words[0] in ("kubectl", "oc", "docker", "chroot")
            and (words[-1].rpartition("/")[2] in SHELLS or "rsh" in words or "debug" in words or words[0] == "chroot")
        )
    )


def _opens_client(command: str) -> bool:
    """Return whether a command opens the client of a database, and asks it nothing yet."""
    found = _CLIENT.search(command)
    if found is None:
        return False
    rest = command[found.end() :]
    return not _QUESTION.search(rest) and (found[1] != "redis-cli" or bool(_REDIS_OPTIONS.fullmatch(rest)))


def statements(code: Code) -> Sequence[Statement]:
    """Return the commands of a code, none where it is no shell code."""
    if not code.block:
        mentioned = code.text.split()[0] in KUBECTL and len(code.text.split()) < 3  # `kubectl get` is spoken about
        return _parsed(code.text, code.line) if known_program(code.text) and not mentioned else ()
    if code.language not in SHELLS | _MAYBE | _POWERSHELL:
        return ()
    powershell = code.language in _POWERSHELL
    certain = powershell or code.language in SHELLS
    text = re.sub(r"`$", r"\\", code.text, flags=re.MULTILINE) if powershell else code.text
    lines = text.split("\n")
    names = (
        {} if certain else {at: found[1] for at, line in enumerate(lines, code.line) if (found := _NAMED.match(line))}
    )
    plain = "\n".join(_NAMED.sub("", line) for line in lines) if names else text
    text = _without_prompts(plain, certain=certain)
    unread = {each.line: each for each in _unread(text.split("\n"), code.line, powershell=powershell)}
    text = "\n".join("" if at in unread else line for at, line in enumerate(text.split("\n"), code.line))
    kept = _without_output(_parsed(text, code.line)) if text.strip() else iter(())
    named = (replace(each, comment=each.comment or names.get(each.line, "")) for each in kept)
    return sorted((*named, *unread.values()), key=lambda each: each.line)


def _unread(lines: Sequence[str], first: int, *, powershell: bool) -> Iterator[Statement]:
    """Yield the lines that are in no language of this module: PowerShell's own, and what is typed into the client of a database."""
    inside, continues = powershell, False
    for number, line in enumerate(lines, start=first):
        words = line.split()
        if words and words[0] in _KNOWN:
            inside = powershell or _opens_client(line.strip())
        elif inside and words and not (continues or words[0].startswith("#")):
            yield Statement(text=line.strip(), line=number, command=line.strip(), whole=False)
        continues = line.rstrip().endswith("\\")


def _without_output(found: Sequence[Statement]) -> Iterator[Statement]:
    """Yield what is a command: lines of output may stand below theirs, and other languages are called shell code, too."""
    any_known, entered = False, False
    for each in found:
        first = each.words[0] if each.words else ""
        known = first in _KNOWN or bool(each.variable) or (not each.whole and bool(_KNOWN_WITHIN.search(each.text)))
        if (
            entered
            or known
            or (_A_PROGRAM.fullmatch(first) and (_A_FLAG.search(each.text) or not (any_known or first in _KEYWORDS)))
        ):
            yield each
        any_known |= known
        entered |= enters(each)


_A_PROGRAM = re.compile(r"[a-z./][a-z0-9_./-]*")
_A_FLAG = re.compile(r"\s--?[a-zA-Z]")
_BUILT_INS = frozenset(
    {"echo", "printf", "cd", "sleep", "export", "clear", "exit", "set", "source", "alias", "unset", "read", "wait"}
)
_KNOWN = _PROGRAMS | _BUILT_INS
_KEYWORDS = frozenset({"done", "fi", "do", "then", "esac"})


def _without_prompts(text: str, *, certain: bool) -> str:
    """Return the code without prompts and output; lines keep their numbers. "" where no line is a command."""
    lines = text.split("\n")
    prompted = any(_PROMPT.match(line) for line in lines)
    if certain and not prompted:
        return text
    kept: list[str] = []
    continues, any_command = False, False
    for line in lines:
        bare = _PROMPT.sub("", line)
        command = continues or (bare != line if prompted else known_program(line) or bool(_STARTS_CODE.match(line)))
        any_command |= known_program(bare) or (command and prompted)
        kept.append(bare if command or line.lstrip().startswith("# ") else "")
        continues = command and bare.rstrip().endswith("\\")
    return "\n".join(kept) if any_command else ""


def _parsed(text: str, line: int) -> Sequence[Statement]:
    names: list[str] = []

    def mark(found: re.Match[str]) -> str:
        names.append(found[0])
        return f"PLACEHOLDER_{len(names) - 1}_"

    marked = _PLACEHOLDER.sub(mark, text)
    root = _PARSER.parse(marked.encode()).root_node
    found = _Statements(line).of(root) if not root.has_error else _line_by_line(marked, line)

    def back(text: str) -> str:
        return _MARK.sub(lambda each: names[int(each[1])], text)

    return tuple(_limited(_restored(each, back)) for each in found)


def _limited(each: Statement) -> Statement:
    if len(each.text) <= LONGEST:
        return each
    return Statement(text=each.text, line=each.line, command=each.text, comment=each.comment, whole=False)


def _restored(each: Statement, back: Callable[[str], str]) -> Statement:
    return replace(
        each,
        text=back(each.text),
        command=back(each.command),
        comment=back(each.comment),
        value=back(each.value),
        filters=tuple(map(back, each.filters)),
        items=tuple(map(back, each.items)),
        body=tuple(_restored(inner, back) for inner in each.body),
        inner=tuple(_restored(inner, back) for inner in each.inner),
    )


def _line_by_line(text: str, line: int) -> Iterator[Statement]:
    """Read code that is no shell code as a whole: what cannot be read stays as it is."""
    joined, start = "", line
    for number, each in enumerate(text.split("\n"), start=line):
        start = start if joined else number
        joined += each
        if joined.rstrip().endswith("\\"):
            joined = joined.rstrip()[:-1] + " "
            continue
        root = _PARSER.parse(joined.encode()).root_node
        if root.has_error:
            yield Statement(text=joined.strip(), line=start, command=joined.strip(), whole=False)
        else:
            yield from _Statements(start).of(root)
        joined = ""


class _Statements:
    """Turns the nodes of a parsed code into statements."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._comment: list[str] = []
        self._readers: Mapping[str, Callable[[Node], Statement]] = {
            "command": self._plain,
            "pipeline": self._pipeline,
            "redirected_statement": self._redirected,
            "for_statement": self._loop,
        }

    def of(self, root: Node) -> Iterator[Statement]:
        """Yield the statements of a node's children, each with the comment above it."""
        last = -1
        for node in root.named_children:
            row = node.start_point[0]
            if node.type == "comment":
                if row != last:
                    self._comment.append(_text(node).lstrip("#! "))
                continue
            for each in self._each(node):
                yield replace(each, comment=each.comment or " ".join(self._comment))
                self._comment = []
            last = node.end_point[0]

    def _each(self, node: Node) -> Iterator[Statement]:
        match node.type:
            case "list":
                for child in node.named_children:
                    yield from self._each(child)
            case "variable_assignment":
                yield self._assignment(node, node)
            case "declaration_command" | "variable_assignments":
                inner = [child for child in node.named_children if child.type == "variable_assignment"]
                yield from [self._assignment(child, node) for child in inner] or [self._plain(node)]
            case kind:
                yield self._readers.get(kind, self._unread)(node)

    def _plain(self, node: Node) -> Statement:
        inner = tuple(self._substituted(node))
        command = _text(node)
        for each in inner:
            command = command.replace(each.text, f"${each.variable}", 1)
        return replace(self._statement(node, command=command), inner=inner)

    def _substituted(self, node: Node) -> Iterator[Statement]:
        """Yield the commands whose output is a word of another one; `text` is with the `$()` around each."""
        for child in node.named_children:
            if child.type == "command_substitution":
                found = [each for part in child.named_children for each in self._each(part)]
                if len(found) == 1 and found[0].whole and not found[0].variable:
                    yield replace(found[0], text=_text(child), variable=f"FOUND_{child.start_byte}")
            elif child.type in ("string", "concatenation"):
                yield from self._substituted(child)

    def _unread(self, node: Node) -> Statement:
        return self._statement(node, command=_text(node), whole=False)

    def _statement(self, node: Node, *, command: str, filters: tuple[str, ...] = (), whole: bool = True) -> Statement:
        return Statement(
            text=_text(node), line=self._line + node.start_point[0], command=command, filters=filters, whole=whole
        )

    def _pipeline(self, node: Node) -> Statement:
        first, *rest = node.named_children
        inner = next(iter(self._each(first)), None)
        if inner is None or not inner.whole or inner.variable:
            return self._statement(node, command=_text(node), whole=False)
        return replace(
            self._statement(node, command=inner.command, filters=(*inner.filters, *map(_text, rest))), inner=inner.inner
        )

    def _redirected(self, node: Node) -> Statement:
        body, *redirects = node.named_children
        inner = next(iter(self._each(body)), None)
        if inner is None or not inner.whole or any(each.type != "file_redirect" for each in redirects):
            return self._statement(node, command=_text(node), whole=False)
        into = all(">" in _text(each) for each in redirects)
        filters = (*inner.filters, *map(_text, redirects))
        return replace(self._statement(node, command=inner.command, filters=filters, whole=into), inner=inner.inner)

    def _assignment(self, node: Node, around: Node) -> Statement:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        made = self._statement(around, command=_text(around), whole=False)
        if name is None or value is None:
            return made
        while (
            value.type == "string"
            and value.named_child_count == 1
            and value.named_children[0].type == "command_substitution"
        ):
            value = value.named_children[0]
        if value.type == "command_substitution":
            inner = [each for child in value.named_children for each in self._each(child)]
            if len(inner) == 1 and inner[0].whole:
                return replace(inner[0], text=made.text, line=made.line, variable=_text(name))
            return replace(made, variable=_text(name))
        if "$(" in _text(value) or "`" in _text(value):
            return replace(made, variable=_text(name))
        return replace(made, command="", variable=_text(name), value=_text(value).strip("\"'"), whole=True)

    def _loop(self, node: Node) -> Statement:
        made = self._statement(node, command=_text(node), whole=False)
        variable, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        values = node.children_by_field_name("value")
        if variable is None or body is None:
            return made
        inside = tuple(each for child in body.named_children for each in self._each(child))
        if not values or not inside or any(not each.whole or each.variable for each in inside):
            return made
        made = replace(made, variable=_text(variable), body=inside, whole=True)
        if all(each.type in ("word", "number") for each in values):
            return replace(made, items=tuple(map(_text, values)))
        over = tuple(self._substituted(node))
        return replace(made, inner=over, whole=len(values) == len(over) == 1)


def _text(node: Node) -> str:
    return re.sub(r"\\\n\s*", "", (node.text or b"").decode())
