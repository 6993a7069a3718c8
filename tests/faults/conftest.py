"""The harness itself takes minutes: it runs with HYPOTHESIS_PROFILE=deep, or as a command (campaign.py)."""

import os

collect_ignore = [] if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else ["test_campaign.py"]
