"""What all tests share: the real parts as fixtures, and the count of those that did not run."""

pytest_plugins = ["tests.harness.fixtures", "tests.harness.tally"]
