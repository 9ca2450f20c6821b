"""Selection of the winners from the candidates, with the reason for every exclusion."""
