"""Whether a model is any good: purged folds, evaluation, overfitting, negative controls."""
