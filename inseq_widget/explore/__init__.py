"""Kernel side of a live explorer: its figure, the requests it answers, their jobs."""
