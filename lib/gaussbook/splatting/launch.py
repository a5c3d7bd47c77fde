"""The tile renderer on the GPU."""


def usable(*a):
    return False
