"""What docs/notices.md has a person write: the parts of the Secret for Slack, and the routes, as tests use them."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import yaml

PAGE = (Path(__file__).parents[2] / "docs" / "notices.md").read_text()
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def slack_secret(**tokens: str) -> Mapping[str, str]:
    """Return the files of the Secret that the page's command makes; these `tokens` stand in place of those that it only begins."""
    [command] = [text for language, text in _FENCE.findall(PAGE) if language == "sh" and "kintsugi-slack" in text]
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:6] == ["kubectl", "-n", "kintsugi", "create", "secret", "generic"], words
    literals = dict(word.removeprefix("--from-literal=").split("=", 1) for word in words[7:])
    assert all(tokens[name].startswith(text.rstrip("…")) for name, text in literals.items() if text.endswith("…"))
    return {**literals, **tokens}


def routes_in_values() -> tuple[str, ...]:
    """Return the documents of routes that stand in the page's values: that to Slack, then those to other services."""
    shown = [yaml.safe_load(dedent(text)) for _, text in _FENCE.findall(PAGE) if "routes.yaml:" in text]
    return tuple(each["catalog"]["documents"]["routes.yaml"] for each in shown)
