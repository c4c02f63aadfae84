"""The nouns of the domain, frozen: documents that people write, commands that they contain, records that we keep."""
