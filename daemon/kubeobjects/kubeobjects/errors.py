"""The errors that a client of the Kubernetes API raises for a read, as far as readers of objects tell them apart."""


class ReadError(Exception):
    """An object could not be read; the text is fit for a person."""


class ObjectNotFound(ReadError):
    """The object does not exist."""


class ReadForbidden(ReadError):
    """The right to read the object is missing."""
