"""`python -m kintsugi.cli` is `kintsugi`."""

from kintsugi.cli import main

main()
