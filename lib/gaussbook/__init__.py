"""The small numerical library behind *The Gaussian papers, reproduced*.

Import the module you need (``from gaussbook import mixture``): this file imports none of them,
so a chapter depends on exactly the modules it names.
"""

__version__ = "0.1.0"
