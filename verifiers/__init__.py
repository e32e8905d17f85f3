"""Verifiers: one file each. They see a question and an answer, never the truth."""
