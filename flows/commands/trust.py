"""The options by which the owner of a machine trusts models of others, and their code."""

import os
from dataclasses import dataclass
from typing import Annotated

import tyro

from flows.config import SceneConfig
from flows.settings import Settings
from tasks.refine.third_party import third_parties
from tasks.runtime.trust import joined


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustOptions:
    """Each overrides the variable that it names."""

    models: Annotated[
        str | None,
        tyro.conf.arg(
            help="Models of others that may be loaded beside those of the config: "
            "owner/name@commit or folders, separated by ',' (UNSEEN_MODELS)."
        ),
    ] = None
    trusted_code: Annotated[
        str | None,
        tyro.conf.arg(
            help="Models whose own Python code may be run: owner/name@commit or folders, separated "
            "by ',' (UNSEEN_TRUSTED_CODE)."
        ),
    ] = None

    def use(self, config: SceneConfig | None = None) -> None:
        """Set the variables, for this process and the workers that it starts.

        Args:
            config: of the command line, or of the file after --config. The models that it names may
                be loaded, as weights; that code may be run never follows from a config.

        Raises:
            InputError: an entry is neither a hub id with a commit nor a folder.
        """
        if self.models is not None:
            os.environ["UNSEEN_MODELS"] = self.models
        if self.trusted_code is not None:
            os.environ["UNSEEN_TRUSTED_CODE"] = self.trusted_code
        listed = Settings().trust().models
        named = third_parties(config.refine.refiner) if config is not None else ()
        weights = {model.address for model in named if not model.code}
        if weights - listed:
            os.environ["UNSEEN_MODELS"] = joined(listed | weights)


Trusted = Annotated[TrustOptions, tyro.conf.arg(name="")]
