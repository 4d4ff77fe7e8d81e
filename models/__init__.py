"""What was trained, and how: networks, manifests, shipped weights; ``models.training`` trains and evaluates."""
