"""The door for programs: the same steps as the command line, and the parts of them by name."""
