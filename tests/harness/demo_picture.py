"""
Draws the picture of the README from a real run of the demonstration: `python -m tests.harness.demo_picture`.

The lines are those that a terminal of 120 columns shows; only their colours are added here.
"""

import io
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[2] / "docs" / "demo.svg"
SCENE = "missing-image"
"""Its cause is found, and it is rolled back."""

WIDTH = 120
_STYLES = {
    r"^\S+: .*": "bold cyan",
    r"✓ .*": "green",
    r"→ (recovered|rolled-back).*": "bold green",
    r"→ .*": "yellow",
    r"As expected: .*": "bold green",
    r"^(SCENE .*|\$ .*)": "bold",
    r"cause: .*": "bold magenta",
}
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""The fonts are named by addresses in the web: a picture fetches nothing, and the reader's own font will do."""


def main() -> None:
    """Play a scene, and draw what was printed."""
    words = ["kintsugi", "demo", "--scene", SCENE]
    command = str(Path(sys.executable).parent / words[0])
    played = subprocess.run([command, *words[1:]], capture_output=True, text=True, check=True)
    PICTURE.write_text(drawn([f"$ {' '.join(words)}", *played.stdout.splitlines()]))


def drawn(lines: list[str]) -> str:
    """Return a picture of some lines."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines:
        indent = len(line) - len(line.lstrip())
        for part in textwrap.wrap(line, WIDTH, subsequent_indent=" " * (indent + 4), break_on_hyphens=False) or [""]:
            console.print(_coloured(part))
    return _FONT.sub("", console.export_svg(title="kintsugi demo", unique_id="demo"))


def _coloured(line: str) -> Text:
    """Return a line with its colours; its indentation is a piece of its own, since pictures lose blanks before a text."""
    text = Text(line)
    for pattern, style in reversed(_STYLES.items()):
        text.highlight_regex(pattern, style)
    text.stylize("dim", 0, len(line) - len(line.lstrip()))
    return text


if __name__ == "__main__":
    main()
