"""Language models small enough for a laptop, tasks that can be checked, rollouts."""

try:
    import torch  # noqa: F401
    import transformers  # noqa: F401
except ImportError as error:
    raise ImportError(f'rlkit.lm needs {error.name}: pip install "rlkit-notebooks[lm]"') from error
