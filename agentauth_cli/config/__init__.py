"""Where the files are, how they are read and checked, and how they are rewritten."""
