"""A trained network as every training of a refiner gives it."""

from tasks.refine.residual.checkpoint import checkpoint_of
from tasks.refine.residual.train import Trained
from tasks.refine.training.learnt import CurvePoint, Learnt, ValidationScore


def learnt_of(trained: Trained, *, data: str) -> Learnt:
    """
    Args:
        data: digest of what it was trained on.
    """
    curve = trained.curve
    return Learnt(
        content=checkpoint_of(trained.network, data=data),
        curve=tuple(
            CurvePoint(step=step, loss=loss)
            for step, loss in zip(curve.step.tolist(), curve.loss.tolist(), strict=True)
        ),
        scores=tuple(
            ValidationScore(
                step=validation.step,
                scene=gains.scene,
                views=gains.views,
                gain_db=gains.over_render_db,
                share_worse=gains.share_worse,
            )
            for validation in trained.validations
            for gains in (validation.total, *validation.scenes)
        ),
    )
