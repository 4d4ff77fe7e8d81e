"""What is kept of each scanner: the scores of the breasts that it took, and the thresholds set for it.

Rows outlive their studies and hold no patient data: scanner, network, laterality, numbers and instants.
"""
