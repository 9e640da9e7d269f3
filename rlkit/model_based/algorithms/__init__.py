"""The learners of model-based reinforcement learning, one file each."""
