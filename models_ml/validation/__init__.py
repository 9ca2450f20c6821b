"""Model validation: purged folds, evaluation, overfitting, negative controls."""
