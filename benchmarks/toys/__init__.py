"""Toy problems with known answers, shared by benchmarks, tests and images."""
