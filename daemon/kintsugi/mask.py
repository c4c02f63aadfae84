"""The mask that replaces a secret; its reader knows that the value is not known."""

MASK = "[redacted]"
