"""What is known of scans, models and figures, without the web and without the queue.

No library reports to anybody that it is used: nothing leaves the machine. OpenVINO's converter and NNCF, which make
the int8 form of a model, tell Google Analytics of each use unless they are told not to; where they cannot import the
package that does it they go without.
"""

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # how Python marks what is not to be found
