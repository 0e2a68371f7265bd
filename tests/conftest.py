"""The test run checks every shape annotation, so the hook comes before any import of ours."""

from jaxtyping import install_import_hook

install_import_hook(["tasks", "storage"], "beartype.beartype")
