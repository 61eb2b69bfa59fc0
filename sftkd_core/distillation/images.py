"""The simplest teachers: its image, and the images between its stages, by L1.

Output distillation goes back to Ba and Caruana (2014), for reconstruction to KD-MRI (Murugesan et
al. 2020); supervision between the stages is FitNets' hint where a stage hands on an image.
"""

from torch import Tensor

from sftkd_core.distillation.method import Method
from sftkd_core.distillation.products import precise
from sftkd_core.system import Float


def image(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The images themselves, (b, c, h, w), one channel from our networks; at least float32."""
    return precise(images)


def image_distance(
    student_image: Float[Tensor, "b c h w"], teacher_image: Float[Tensor, "b c h w"]
) -> Float[Tensor, ""]:
    """Mean absolute difference of images (b, c, h, w)."""
    return (student_image - teacher_image).abs().mean()


OUTPUT = {
    "cited": Method(
        taps="output",
        summary=image,
        distance=image_distance,
        why="The reconstruction: what the teacher would have said in place of the target.",
        channels=True,
    )
}
STAGES = {
    "cited": Method(
        taps="consistent images",
        summary=image,
        distance=image_distance,
        why="The image that each stage hands on, after data consistency: there both networks keep "
        "what was measured, and differ in the rest only.",
        channels=True,
        mean=True,
    )
}
