"""Prints the explanation of alerts and pods, rule by rule, for people and programs."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from kintsugi.cli.diagnosis_report import diagnosis_lines
from kintsugi.cli.output import emit, plain, print_lines, table
from kintsugi.server.operations import Explanation, ServiceExplanation

Explained = Sequence[tuple[str, Explanation]]
"""The subjects of explanations, each with its explanation."""


def emit_explained(explained: Explained) -> None:
    """Write the answers as JSON."""
    emit(
        {
            "explanations": [
                {"about": about, "verdict": each.verdict, "lines": each.lines, "diagnosis": each.diagnosis}
                for about, each in explained
            ]
        }
    )


def show_explained(explained: Explained) -> None:
    """Write the answers for a person."""
    print_lines(line for about, each in explained for line in _lines(about, each))


def _lines(about: str, explanation: Explanation) -> Iterator[Text]:
    verdict = explanation.verdict
    until = f", until {verdict.until:%H:%M:%S} UTC" if verdict.until else ""
    rule = f" by rule {verdict.rule}" if verdict.rule else ""
    yield plain(about, "bold")
    yield plain(f"  verdict now: {verdict.kind}{rule} ({verdict.reason}{until}): {verdict.text}")
    for line in explanation.lines:
        yield plain(f"  - {line}")
    if explanation.diagnosis is not None:
        yield from (Text.assemble("  ", line) for line in diagnosis_lines(explanation.diagnosis))


def show_service_explanation(explained: ServiceExplanation) -> None:
    """Write what a service is for a person: a table of its values, and one of its rules."""
    for key, listed in (("KEY", explained.values), ("RULE", explained.rules)):
        table(
            (key, "VALUE", "FROM"),
            [[plain(each.key), plain(each.value), plain(each.place or "derived")] for each in listed],
        )
