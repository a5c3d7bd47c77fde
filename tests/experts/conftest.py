"""The array namespaces that the library must serve."""

import array_api_strict
import numpy as np
import pytest


@pytest.fixture(params=[np, array_api_strict], ids=["numpy", "strict"])
def xp(request):
    return request.param
