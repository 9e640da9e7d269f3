"""rlkit: learn and try reinforcement learning in notebooks, from bandits to language models."""

__distribution__ = "rlkit-notebooks"
__version__ = "0.1.0"
