"""Closed-loop evaluation on the twin: episodes, their figures, and what they say about a policy."""
