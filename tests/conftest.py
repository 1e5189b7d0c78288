"""What all tests share."""

import os

import hypothesis
import pytest
import torch

# Small networks run faster on one thread, and results do not depend on how busy the machine is.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start
os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the network

# Derandomised: a red test is red again on the next run. No deadline: a busy machine is not an error.
hypothesis.settings.register_profile("metanet", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("metanet")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
