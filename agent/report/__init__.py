"""Figures -> tables on a terminal and summary.json."""
