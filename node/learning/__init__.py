"""Learning: data, partitions, models as flat vectors, local SGD, promotion. torch is imported here and nowhere below.

`data`, `partition`, `promotion` and `loaders` do without torch, so that a program that only prepares data starts fast.
"""
