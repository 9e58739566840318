import os
import subprocess
import sys
from pathlib import Path

import pytest

# A process of its own: a niceness cannot be taken back.
CODE = """
import os
from pathlib import Path
from ml.sandbox.decoder import Decoder
os.nice(7)
decoder = Decoder()
decoder.warm_up()
pid = decoder.server_pid
print(Path(f"/proc/{pid}/autogroup").read_text().split()[-1], os.getpriority(os.PRIO_PROCESS, pid))
decoder.close()
"""


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not group by sessions")
def test_the_servers_session_is_as_nice_as_its_owner() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(min(os.nice(0) + 7, 19))] * 2
