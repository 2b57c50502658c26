"""The token of a job: how each CI platform is asked for one, with an audience of our choice."""
