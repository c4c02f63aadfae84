"""Takes one behaviour after the other out of a copy of the tree, to see that a test notices: `make sabotage`."""
