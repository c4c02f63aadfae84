"""Pure decisions: facts, history and `now` come in, a verdict with its reason goes out."""
