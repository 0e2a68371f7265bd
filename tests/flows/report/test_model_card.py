"""The model card of a trained refiner, from synthetic figures."""

from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from flows.config import RefinerConfig
from flows.report.model_card import CardScene, ModelCard, card_beside, model_card
from tasks.errors import InputError
from tasks.refine.training.trained import CurvePoint, TrainedRefiner, ValidationScore


def score(step: int, scene: str, gain_db: float) -> ValidationScore:
    return ValidationScore(step=step, scene=scene, views=4, gain_db=gain_db, share_worse=0.25)


TRAINED = TrainedRefiner(
    content=b"weights",
    curve=(
        CurvePoint(step=20, loss=0.5),
        CurvePoint(step=400, loss=0.125),
    ),
    scores=(
        score(200, "", 0.5),
        score(200, "attic", 0.25),
        score(400, "", 0.75),
        score(400, "attic", 0.375),
    ),
)


def seen(name: str, use: str, pairs: int) -> CardScene:
    digest = sha256(name.encode()).hexdigest()
    return CardScene(
        name=name, use=use, photos=9, pairs=pairs, photos_digest=digest, pairs_digest=digest[::-1]
    )


def card(
    trained: TrainedRefiner = TRAINED, *, is_ours: bool = True, refiner: str = "residual"
) -> str:
    return model_card(
        ModelCard(
            refiner=refiner,
            file="residual.safetensors",
            command="unseen train-refiner scenes --out residual.safetensors",
            is_ours=is_ours,
            licence="CC-BY-4.0",
            scenes=[
                seen("hall | old", "training", 7),
                seen("roof", "training", 5),
                seen("attic", "validation", 3),
            ],
            left_out={"cellar": "it holds no photo"},
            config=RefinerConfig().model_dump(mode="json"),
            device="cpu",
            trained=trained,
        )
    )


def test_the_card_lists_used_and_skipped_scenes() -> None:
    text = card()
    assert "training: 12 pairs of 2 scenes with 18 photos" in text
    assert "validation: 3 pairs of 1 scenes with 9 photos" in text
    digest = sha256(b"attic").hexdigest()
    assert f"| attic | validation | 9 | 3 | `{digest[:16]}` | `{digest[::-1][:16]}` |" in text
    assert "hall \\| old" in text
    assert "- cellar: it holds no photo" in text


@pytest.mark.parametrize(
    ("kind", "place", "option"),
    [
        ("residual", "tasks/refine/residual/residual.safetensors", "weights"),
        ("controlnet", "tasks/refine/diffusion/controlnet.safetensors", "weights.file"),
    ],
)
def test_the_card_names_the_refiner_and_the_place_of_its_file(
    kind: str, place: str, option: str
) -> None:
    text = card(refiner=kind)
    assert f"Refiner `{kind}`: a U" in text
    assert f"Place in the project: `{place}`; from elsewhere, `refine.refiner.{option}`" in text


def test_the_card_reports_loss_scores_digest_and_licence() -> None:
    text = card()
    assert "400 steps; the mean loss of the first 20 was 0.5, at the end 0.125." in text
    assert "| 200 | all | 4 | +0.50 | 25% |" in text
    assert "| 400 | attic | 4 | +0.38 | 25% |" in text
    assert "| 200 | attic |" not in text  # in the end only
    assert sha256(b"weights").hexdigest() in text
    assert "Licence of the weights: CC-BY-4.0" in text


def test_the_card_holds_the_command_and_the_whole_config() -> None:
    text = card()
    assert "$ unseen train-refiner scenes --out residual.safetensors\n" in text
    config = text.split("```yaml\n")[1].split("```")[0]
    assert RefinerConfig.model_validate(yaml.safe_load(config)) == RefinerConfig()
    assert "residual.safetensors --config below.yaml\n" in card(is_ours=False)


def test_the_card_file_is_beside_the_weights_and_never_overwrites_them() -> None:
    assert card_beside(Path("weights/it.safetensors")) == Path("weights/it.md")
    with pytest.raises(InputError, match=r"cannot be written to 'it\.md'"):
        card_beside(Path("weights/it.md"))
    for other in (".bashrc", "weights/it", "it.safetensors.txt", "authorized_keys"):
        with pytest.raises(InputError, match=r"end the name with \.safetensors"):
            card_beside(Path(other))


def test_the_card_notes_missing_validation() -> None:
    text = card(TrainedRefiner(content=b"", curve=TRAINED.curve, scores=()))
    assert "No scene was withheld for validation" in text
