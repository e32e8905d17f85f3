"""Models: one module each; a model answers questions and knows nothing of the loop."""
