"""Run the benches: `python -m tests.bench [--quick]`. Ends with 1 when one of them finds that something was lost."""

import sys

from tests.bench import alerts


def main() -> int:
    """Run all of them; `--quick` with a tenth of the load, to see that they work."""
    share = 0.1 if "--quick" in sys.argv[1:] else 1.0
    return 0 if alerts.run(share=share) else 1


if __name__ == "__main__":
    sys.exit(main())
