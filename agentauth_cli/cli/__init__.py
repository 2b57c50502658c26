"""The command line: one file a command group, each in three parts: flags, input, work."""
