"""Hyperparameter search and backbone studies: several runs at once."""
