"""What a trained network is: its manifest, its layers, its weights.

Does not know images, and what a score means. `manifest` knows no TensorFlow; `engine` alone imports it.
"""
