"""What pages show as pictures, charts and trees of words: made here, without any script."""
