"""The names of an expression: their types when a document is loaded, their values when it is evaluated."""
