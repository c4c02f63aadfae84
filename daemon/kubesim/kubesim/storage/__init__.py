"""The objects of the API: defaulting, validation, storage, and change notification."""
