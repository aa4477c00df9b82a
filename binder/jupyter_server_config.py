"""Has a Jupyter server start a Hub with the service when somebody opens `environments/` below its address."""

import sys
from pathlib import Path

c = get_config()  # noqa: F821

c.ServerProxy.servers = {
    "environments": {
        "command": [sys.executable, str(Path(__file__).with_name("start.py")), "{port}", "{base_url}environments/"],
        "absolute_url": True,
        "timeout": 180,
        "new_browser_tab": True,
        "launcher_entry": {"title": "JupyterHub with environments"},
    }
}
