"""A trained network as every training of a refiner gives it."""

from tasks.refine.residual.train import N, Trained
from tasks.refine.training.learnt import CurvePoint, Learnt, ValidationScore


def learnt_of(trained: Trained[N], content: bytes) -> Learnt:
    """
    Args:
        content: of the file with its network.
    """
    curve = trained.curve
    return Learnt(
        content=content,
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
