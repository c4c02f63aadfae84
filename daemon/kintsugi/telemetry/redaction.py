"""
Redacts secrets from all texts that are written: logs, dead letters, evidence, notices.

Secrets are recognised by the name of a key, by the shape of a text, and by value: the reader of a secret registers it
with `SECRETS`, and from then on it is masked everywhere, also in base64 and in a URL.
"""

import base64
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import chain
from urllib.parse import quote

from kintsugi.mask import MASK
from kintsugi.regex import AnyOf, Substitutions

_MANIFESTS = frozenset(
    {"kubectl.kubernetes.io/last-applied-configuration", "kapp.k14s.io/original", "objectset.rio.cattle.io/applied"}
)
"""The annotations in which `kubectl apply`, kapp and Rancher leave the whole object as it was written."""

_COMPRESSED = "H4sI"
"""The beginning of what is compressed by gzip, in base64."""

_DATA = ("data", "stringData")
_REFERENCES = frozenset(
    {
        "automountServiceAccountToken",
        "imagePullSecrets",
        "secretKeyRef",
        "secretName",
        "secretNamespace",
        "secretRef",
        "serviceAccountToken",
        "tokenExpirationSeconds",
        "tokenRequests",
    }
)
"""Fields of Kubernetes objects that say where a secret is, and hold none."""

_FLAG = re.compile(
    r"(?i)^--?(?:[a-z0-9]{1,20}[-_]){0,4}(?:passwo?r?d|passwd|passphrase|secret|token|api[-_]?key|(?:access|account)[-_]?key)$"
)

_SHORTEST = 6
"""Shorter values are not registered: masking `ab` everywhere would leave nothing readable and hide nothing."""

MOST_SECRETS = 100
"""
Registered values that are known at a time, the ones that were read last. A daemon has a dozen that are in use; one that is
made anew each hour is masked for four days after.
"""

_KEY_WORDS = (
    r"passwo?r?d|passwd|passphrase|pwd|pgpass|secret|token|authori[sz]ation|cookie|api[-_]?key|private[-_]?key"
    r"|(?:access|account)[-_]?key|credential"
)
_SURE_WORDS = r"passwo?r?d|passwd|passphrase|pgpass|api[-_]?key|private[-_]?key|(?:access|account)[-_]?key|secret[-_]?key|client[-_]?secret"
"""Those that no sentence of ours has before a colon, as `no token: anyone could start runbooks` has."""

_SECRET_KEY = AnyOf([rf"(?i){_KEY_WORDS}|(?:^|[_.-])pass(?:$|[_.-])"])

_SUFFIX = r"(?:s|hash|value|data|string|text|key|id|[0-9]{1,4}|[-_.][\w.-]{0,40})?"
"""The suffixes of such a word in the name of a secret; `secretName` and `secretKeyRef` are only references."""

_VALUE = r"""(?:"(?:\\.|[^"\\])*"?|'[^'\n]*'?|[^\s,;&"'}]+)"""
_FLAGS = (
    r"(?:[a-z0-9]{1,20}[-_]){0,4}(?:passwo?r?d|passwd|passphrase|pwd|secret|secret[-_]?key|api[-_]?key|(?:access|account)[-_]?key)"
    r"|(?:(?:access|api|auth|bearer|id|refresh|session)[-_])?token"
)
_ISSUED = (
    r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{6,}"
    r"|sk-(?:proj-|ant-)?[A-Za-z0-9_]{20,}|xox[abeoprs]-[\w-]{8,}|xapp-[\w-]{8,}|AIza[\w-]{30,}|npm_[A-Za-z0-9]{30,}"
    r"|hf_[A-Za-z]{30,}|SG\.[\w-]{16,}\.[\w-]{16,}|dop_v1_[a-f0-9]{32,}|hv[sbr]\.[\w-]{20,}|ya29\.[\w-]{20,}"
)
"""The prefixes of tokens of GitHub, GitLab, Stripe, Slack, Google, npm, SendGrid, DigitalOcean, Vault and others."""

_NAMED = rf"(?:{_KEY_WORDS}){_SUFFIX}"
_SURELY_NAMED = rf"(?:{_SURE_WORDS}){_SUFFIX}"
_GAP = r"[ \t]{0,3}"
_NAME = rf"(?:(?:{_KEY_WORDS})[\w.-]{{0,60}}|[_.-]pass)"
_BREAK = r"\s{0,40}"
_HEADERS = r"(?:proxy-)?authorization|set-cookie|cookie|x-[a-z-]{0,30}(?:key|token|secret|auth)[a-z-]{0,30}"

# Written in RE2's dialect: no look-around, no backreference, no repetition of more than 1,000. A match begins at the word
# that tells, and not at the name around it, so that the text is gone through once.
_TEXTS: Mapping[str, str] = {
    # a private key, to its end or the text's
    r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END[A-Z0-9 -]{0,60}|$)": MASK,
    # a header, to the end of its line
    rf"(?i)\b({_HEADERS})({_GAP}:{_GAP})[^\r\n]+": rf"\1\2{MASK}",
    r"(?i)\b(bearer|basic)\s{1,8}[\w.~+/=-]{8,}": rf"\1 {MASK}",
    r"(?i)(\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,100}:)[^\s/]{1,400}@": rf"\1{MASK}@",
    # the same with a slash in it: what is no port, or has no host before it
    r"(?i)(\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@\[]{0,100}:)[0-9]{0,9}[^\s/@0-9\]][^\s@,;\"'<>]{0,400}@": rf"\1{MASK}@",
    r"(?i)(\b[a-z][a-z0-9+.-]{1,20}://:)[^\s@,;\"'<>]{1,400}@": rf"\1{MASK}@",
    # the signature of a URL (Azure's SAS, S3, Google)
    r"(?i)((?:\b|u0026)sig(?:nature)?=)[\w%+/=-]{16,}": rf"\1{MASK}",
    # a name beside its value: JSON inside a text of JSON, JSON, YAML
    rf'(?i)({_NAME}\\{{1,8}}"\s{{0,4}},{_BREAK}\\{{1,8}}"value\\{{1,8}}"\s{{0,4}}:\s{{0,4}}\\{{1,8}}")[^"\\]*': rf"\1{MASK}",
    rf'(?i)({_NAME}"\s{{0,4}},{_BREAK}"value"\s{{0,4}}:\s{{0,4}})"(?:\\.|[^"\\])*"?': rf'\1"{MASK}"',
    rf'(?i)("value"\s{{0,4}}:\s{{0,4}})"(?:\\.|[^"\\]){{0,400}}"(\s{{0,4}},{_BREAK}"name"\s{{0,4}}:\s{{0,4}}"[\w.-]{{0,60}}{_NAME}")': rf'\1"{MASK}"\2',
    rf"(?i)(\bname:[ \t]{{1,4}}[\"']?[\w.-]{{0,60}}{_NAME}[\"']?[ \t]{{0,4}}\n[ \t]{{0,40}}value:[ \t]{{1,4}})[^\s][^\r\n]*": rf"\1{MASK}",
    # JSON inside a text of JSON, JSON, and a number under such a name
    rf'(?i)({_NAMED}\\{{1,8}}"\s{{0,4}}:\s{{0,4}}\\{{1,8}}")[^"\\]*': rf"\1{MASK}",
    rf'(?i)({_NAMED}"\s{{0,4}}:\s{{0,4}})"(?:\\.|[^"\\])*"?': rf'\1"{MASK}"',
    rf'(?i)({_NAMED}"\s{{0,4}}:\s{{0,4}})-?[0-9][\w.+-]*': rf'\1"{MASK}"',
    # YAML: a block, then what stands on a line of its own to the end of it
    rf"(?i)({_NAMED}[\"']?{_GAP}:[ \t]{{1,4}})[|>][+-]?[ \t]*(?:\n[ \t]+[^\n]*)+": rf"\1{MASK}",
    rf"(?im)^([ \t-]{{0,40}}[\"']?[\w.-]{{0,40}}{_NAMED}[\"']?{_GAP}:[ \t]{{1,4}})[^\s{{\[][^\r\n]*": rf"\1{MASK}",
    # `password = x`, `password: x` in a sentence, `token: x` where the line or the list goes on after one word
    rf"(?i)({_NAMED}[\"']?{_GAP}(?::=|=>|={{1,2}}){_GAP}){_VALUE}": rf"\1{MASK}",
    rf"(?i)(\b(?:\w{{1,40}}[_.-])?pass{_GAP}={_GAP}){_VALUE}": rf"\1{MASK}",
    rf"(?i)({_SURELY_NAMED}'?{_GAP}:{_GAP}){_VALUE}": rf"\1{MASK}",
    rf"(?im)({_NAMED}'?{_GAP}:{_GAP})[^\s,;\"'}}]{{6,}}([ \t]{{0,4}}(?:$|[,;}}]))": rf"\1{MASK}\2",
    r"(?i)\b(password|identified\s{1,3}by)(\s{1,3})'[^']*'?": rf"\1\2{MASK}",
    # the flags of commands
    rf"(?i)((?:^|\s)--?(?:{_FLAGS})[ \t]{{1,4}})(?:\"[^\"]*\"?|'[^']*'?|[^\s-]\S*)": rf"\1{MASK}",
    r"(?i)(\b(?:mysql|mariadb)[a-z-]{0,20}\s[^\n|;&]{0,300}?-p)[^\s-]\S*": rf"\1{MASK}",
    r"(?i)(\bsshpass\s{1,3}-p\s{0,3}|\bredis-cli\s[^\n|;&]{0,300}?-a\s{1,3})\S+": rf"\1{MASK}",
    r"(?i)(\bcurl\s[^\n|;&]{0,300}?(?:-u|--user)[\s=]{0,3}[^\s:]{1,100}:)\S+": rf"\1{MASK}",
    r"((?:^|\s)-p)[A-Za-z_]{0,40}[0-9A-Z!@#$%^&*]\S*": rf"\1{MASK}",
    # what is kept encrypted, and what is known by its own form
    r"\b(enc:aesgcm:v1:[0-9a-f]{16}):[A-Za-z0-9+/]+={0,2}": rf"\1:{MASK}",
    r"\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)*": MASK,
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b(?:[^\w/+]{1,3}[A-Za-z0-9/+]{40}\b)?": MASK,
    rf"\b(?:{_ISSUED})": MASK,
}
_SHAPES = Substitutions(_TEXTS.items())


def is_secret_key(key: str) -> bool:
    """Return whether any value under this name is masked."""
    return _SECRET_KEY.may_search(key)


def _without_word(text: str, word: str) -> str:
    """Mask a word where it is not a part of a longer one."""
    parts, begins, searched = [], 0, 0
    while (at := text.find(word, searched)) >= 0:
        searched = end = at + len(word)
        if _is_word_edge(text, at) and _is_word_edge(text, end):
            parts += [text[begins:at], MASK]
            begins = end
    return "".join([*parts, text[begins:]])


def _is_word_edge(text: str, at: int) -> bool:
    """Return whether no word goes on at a place of a text; the letter of an escape, as in `\\n`, belongs to none."""
    before, after = text[max(0, at - 1) : at], text[at : at + 1]
    is_escape = before.isalpha() and text[max(0, at - 2) : at - 1] == "\\"
    return is_escape or not (_is_part(before) and _is_part(after))


def _is_part(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def is_manifest(annotation: str, value: object) -> bool:
    """Return whether an annotation holds the whole object as a tool has written it; another tool's is known by its content."""
    if annotation in _MANIFESTS or "/" not in annotation or not isinstance(value, str):
        return annotation in _MANIFESTS
    written = value.lstrip().startswith("{") and '"kind"' in value and '"apiVersion"' in value
    return written or value.startswith(_COMPRESSED)


def _is_reference(key: str, item: object) -> bool:
    """Return whether a field only names a Secret: by its own name, or as a volume's `secret` and an account's `secrets`."""
    if key in _REFERENCES or key.endswith("SecretRef"):
        return True
    return key in ("secret", "secrets") and isinstance(item, Mapping | list)


def _is_label_of_name(name: str) -> bool:
    """Return whether a label names a Secret: `secret`, `secret_name`, `secret_namespace`."""
    return name.lower().endswith(("secret", "name", "namespace")) and "secret" in name.lower()


def _data_of_secret(holder: Mapping[object, object], key: str, item: object) -> object:
    """Return the data of a Secret, or the items of a list of them, with every value masked; None for any other field."""
    if holder.get("kind") == "Secret" and key in _DATA:
        return dict.fromkeys(item, MASK) if isinstance(item, Mapping) else MASK
    if holder.get("kind") == "SecretList" and key == "items" and isinstance(item, list):
        return [{**each, "kind": "Secret"} if isinstance(each, Mapping) else each for each in item]
    return None


def environment(item: object) -> object:
    """Return the environment of a container or a program with every value masked; what is taken from elsewhere stays."""
    if isinstance(item, Mapping):
        return {name: each if isinstance(each, Mapping | list) else MASK for name, each in item.items()}
    if isinstance(item, list | tuple):
        return [_variable(each) for each in item]
    return MASK if item else item


def _variable(each: object) -> object:
    if isinstance(each, Mapping):
        return {key: MASK if key == "value" and value else value for key, value in each.items()}
    if isinstance(each, str) and "=" in each:
        return f"{each.partition('=')[0]}={MASK}"
    return each


_MOST_KEPT = 512
_known_names = lru_cache(maxsize=1024)(is_secret_key)
"""Alerts of one rule have the same names of labels."""


class Redactor:
    """
    Masks secrets in texts and nested values; knows those that were registered.

    A registered value is masked at the borders of words, and not at all while it is the name of something (`spare`); labels that
    are judged by are kept as they are. What is done must not depend on what a password happens to be.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._forms: tuple[str, ...] = ()
        self._names: frozenset[str] = frozenset()
        self._matched: frozenset[str] = frozenset()

    def spare(self, names: Collection[str], labels: Collection[str] = ()) -> tuple[str, ...]:
        """
        Mask none of these names from now on, in place of those before, and return which of them are registered secrets.

        `labels` are the names of labels and annotations that `labels` leaves as they are: rules judge by them, also after a restart.
        """
        self._names, self._matched = frozenset(names), frozenset(labels)
        return tuple(sorted(self._names & self._known.keys()))

    @property
    def spared(self) -> frozenset[str]:
        """Return the names that are not masked."""
        return self._names

    def register(self, secret: str) -> None:
        """Mask this value from now on, also in base64 and percent-encoded."""
        secret = secret.strip()
        if len(secret) < _SHORTEST:
            return
        if secret in self._known:
            self._known[secret] = self._known.pop(secret)  # the newest now
            return
        raw = secret.encode("utf-8", "surrogatepass")
        self._known[secret] = (secret, base64.b64encode(raw).decode(), quote(raw, safe=""))
        if len(self._known) > MOST_SECRETS:
            del self._known[next(iter(self._known))]
        longest_first = sorted({form for forms in self._known.values() for form in forms}, key=len, reverse=True)
        self._forms = tuple(longest_first)

    def text(self, text: str) -> str:
        """Mask registered values, then whatever looks like a credential."""
        for form in self._forms:
            if form in text and form not in self._names:
                text = _without_word(text, form)
        return _SHAPES.apply(text)

    def labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """
        Mask inside labels and annotations.

        Those that rules judge by stay, and those that only name a Secret, as metrics about Secrets have them.
        """
        if not self.may_hold_secret(labels):
            return dict(labels)
        return {name: label if name in self._matched else self._label(name, label) for name, label in labels.items()}

    def may_hold_secret(self, *labels: Mapping[str, str]) -> bool:
        """
        Return False when nothing in any of some labels and annotations is to be masked.

        All are gone through at once, since most alerts hold nothing: whatever is found in one is found where they are joined, names by
        what borders a word in them, and texts by the end of a line.
        """
        names, texts = ".".join(chain(*labels)), "\n".join(chain.from_iterable(each.values() for each in labels))
        if any(form in texts and form not in self._names for form in self._forms):
            return True
        known = _known_names if len(names) <= _MOST_KEPT else is_secret_key
        return known(names) or _SHAPES.may_apply(texts)

    def _label(self, name: str, label: str) -> str:
        return MASK if is_secret_key(name) and not _is_label_of_name(name) else self.text(label)

    def value(self, value: object) -> object:
        """
        Mask inside mappings, lists and texts; under a secret's name, and in a secret's place, mask any value.

        Places are the data of Secrets, the values of a container's environment, annotations with a manifest, and
        the value beside the name of a secret header or variable, or after a flag for one.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self._field(value, str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return self._items(list(value))
        return value

    def _field(self, holder: Mapping[object, object], key: str, item: object) -> object:
        if is_manifest(key, item) or (key == "value" and is_secret_key(str(holder.get("name", "")))):
            return MASK
        if (data := _data_of_secret(holder, key, item)) is not None:
            return self.value(data) if key == "items" else data
        if key in ("env", "httpHeaders"):
            return self.value(environment(item))
        if is_secret_key(key) and not _is_reference(key, item):
            return MASK
        return self.value(item)

    def _items(self, items: list[object]) -> list[object]:
        """Mask the item after a flag for a secret, and every line of a private key that was split into lines."""
        masked: list[object] = []
        in_key = after_flag = False
        for item in items:
            line = item if isinstance(item, str) else ""
            began = in_key or ("PRIVATE KEY-----" in line and "-----BEGIN" in line)
            masked.append(MASK if line and (began or after_flag) else self.value(item))
            in_key = began and "-----END" not in line
            after_flag = bool(line) and _FLAG.match(line) is not None
        return masked


SECRETS = Redactor()
"""The secrets of this process: those who read a token or a password register it here."""
