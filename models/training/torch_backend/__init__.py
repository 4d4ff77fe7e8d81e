"""Training in torch, on a graphics card where there is one; what it learns is read by the node's TensorFlow.

The network is a twin of `secondread` with one branch, layer by layer, with the same names and weights; all
of it learns, the trunk too. Only ``train --backend torch`` imports this room, and nothing else needs torch:
it is the extra ``gpu``.
"""
