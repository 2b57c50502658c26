"""The provider's side of a configuration, as text that its own tools take: pure, out of Settings.

One file a provider; nothing here asks anybody. What the configuration does not know (the subjects
of tokens, who a source credential is) becomes a variable without a default, an argument, or a word
in capitals. What a provider's documents do not settle is said to be unconfirmed.
"""
