"""A program's life as pure functions: what happens, and what is to be done then (`lifecycle.handle`)."""
