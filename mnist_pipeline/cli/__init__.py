"""The command line: parse, call the library or a flow once, print.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""
