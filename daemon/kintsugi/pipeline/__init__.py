"""The order of the business, and what keeps it going: judging, waiting, explaining, and people's words."""
