"""Many runs: hyperparameter search and backbone studies."""
