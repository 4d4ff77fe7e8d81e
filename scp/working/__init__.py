"""The worker process and its jobs: images are analysed and reported here, and nowhere else.

Does not know sockets; the listener never imports what loads TensorFlow.
"""
