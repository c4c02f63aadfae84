"""
Makes runbooks of Markdown pages: `kintsugi import`.

`page` reads the page, `shell` its code, `reading` decides about each command, `headings` and `phrases` know words,
`draft` puts the steps together, `document` writes them as a runbook that loads.
"""
