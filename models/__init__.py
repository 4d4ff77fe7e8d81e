"""What was trained, and how: networks, manifests, weights; ``models.training`` trains and evaluates."""
