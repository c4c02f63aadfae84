"""What stands in the place of a secret, so that whoever meets it there knows that the value is not known."""

MASK = "[redacted]"
