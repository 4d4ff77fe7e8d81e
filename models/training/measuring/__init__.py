"""What is measured on a trained network beside its figures out of fold."""
