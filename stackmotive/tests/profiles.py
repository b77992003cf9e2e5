"""pytest plugin: how many examples property tests try. HYPOTHESIS_PROFILE chooses: `ci` (unset) or `soak`.

`ci` tries the same examples on every run, so that a change and not chance makes a build fail; `soak` (`make soak`,
every night) tries new ones, twenty times as many.
"""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = {"ci": 100, "soak": 2_000}

SLOW_MACHINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "ci",
    max_examples=EXAMPLES["ci"],
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=SLOW_MACHINE,
    database=None,
)
settings.register_profile(
    "soak", max_examples=EXAMPLES["soak"], deadline=None, print_blob=True, suppress_health_check=SLOW_MACHINE
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
