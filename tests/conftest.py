"""The test run checks every shape annotation, so the hook comes before any import of ours."""

import signal

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["tasks", "storage"], "beartype.beartype")

# A shell that starts us in the background has us ignore Ctrl-C, and the commands that tests
# interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A test that is slow now and then says that the machine is busy.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
