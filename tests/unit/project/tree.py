"""The project's own files, as the tests about the project look at them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "daemon" / "kintsugi"
KUBEOBJECTS, KUBESIM = ROOT / "daemon" / "kubeobjects", ROOT / "daemon" / "kubesim"
DIAGNOSIS = ROOT / "daemon" / "kubediagnosis"
DEMO, RESTORE = ROOT / "daemon" / "kintsugi_demo", ROOT / "daemon" / "kintsugi_restore"
IMPORT = ROOT / "daemon" / "kintsugi_import"
SOURCES = (ROOT / "daemon", KUBEOBJECTS, DIAGNOSIS, KUBESIM, DEMO, RESTORE, IMPORT)
"""What stands on the path of imports: one folder a distribution."""

PACKAGES = (
    PACKAGE,
    KUBEOBJECTS / "kubeobjects",
    DIAGNOSIS / "kubediagnosis",
    KUBESIM / "kubesim",
    DEMO / "kintsugi_demo",
    RESTORE / "kintsugi_restore",
    IMPORT / "kintsugi_import",
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """One Python file, read."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Return the path as people write it."""
        return str(self.path.relative_to(ROOT))

    @property
    def lines(self) -> list[str]:
        """Return the text by lines."""
        return self.text.splitlines()

    def functions(self) -> Iterator[Function]:
        """Go through all functions and methods, the inner ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


@lru_cache
def modules(folder: Path) -> tuple[Module, ...]:
    """Read every Python file below a folder."""
    found = [(path, path.read_text()) for path in sorted(folder.rglob("*.py"))]
    return tuple(Module(path=path, text=text, tree=ast.parse(text, str(path))) for path, text in found)


def pages() -> list[Path]:
    """List the documents that people read."""
    return [
        *sorted(ROOT.glob("*.md")),
        *sorted(ROOT.glob("daemon/*/README.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
