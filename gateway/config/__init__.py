"""Configuration: ``tollkeeper.yaml`` becomes a frozen ``Config``, or a complete list of problems.

``loader.load`` is the way in. ``source`` reads YAML with line numbers, ``environment`` expands
variables, ``models`` (and the files beside it) is the vocabulary, ``checks`` holds the rules that
concern more than one field, ``notes`` says what is worth knowing about a valid file, ``report``
prints the effective configuration, the JSON Schema and the reference page.

The models are plain data; turning them into domain objects is the composition's work.
"""
