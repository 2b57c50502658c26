"""From a credential to the bytes that the calling program expects."""
