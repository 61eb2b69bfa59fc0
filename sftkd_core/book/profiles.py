"""The four profiles: how large the slices are, how many subjects, how long the trainings."""

from dataclasses import dataclass, replace

from sftkd_core.experiments import Schedule


@dataclass(frozen=True)
class Profile:
    """How large and how long.

    size                     pixels in plane of the brain; the cardiac phantom's is ``cardiac_size``
    slices                   of a subject
    train, validation, test  subjects
    schedule                 of each training; the joint SFT training has the same, and the heart
                             too, unless it has ``cardiac_epochs`` of its own
    noise                    standard deviation in k-space, of images whose maximum is 1; with it,
                             the phantoms are those whose targets have none
    crossed                  how many data sets the seeds below 10 share: seeds 5 to 9 have the
                             subjects of seeds 0 to 4 and other weights; 0: each has its own
    cardiac_epochs           of the heart, in place of the schedule's
    mask                     the seed of the one mask that all seeds share; None: each has its own
    """

    size: int
    cardiac_size: int
    slices: int
    train: int
    validation: int
    test: int
    schedule: Schedule
    noise: float = 0.0
    crossed: int = 0
    cardiac_epochs: int | None = None
    mask: int | None = None

    def data_seed(self, seed: int) -> int:
        """Of the subjects of a seed: its own, or that of the seed with which it shares them."""
        return seed % self.crossed if self.crossed and seed < 10 else seed

    def schedule_of(self, cardiac: bool) -> Schedule:
        """Of the trainings on one anatomy."""
        epochs = self.cardiac_epochs if cardiac else None
        return replace(self.schedule, epochs=epochs) if epochs else self.schedule


PROFILES = {
    "smoke": Profile(64, 64, 4, 2, 1, 2, Schedule(epochs=2, decay="cosine")),
    # many subjects with few slices each teach more than few with many; measured, not guessed
    "quick": Profile(96, 96, 8, 20, 4, 10, Schedule(epochs=20, rate=2e-3, decay="cosine")),
    "study": Profile(
        size=64,
        cardiac_size=64,
        slices=8,
        train=40,
        validation=4,
        test=10,
        schedule=Schedule(epochs=20, rate=2e-3, decay="cosine"),
        noise=0.005,
        crossed=5,
        cardiac_epochs=10,
        mask=1,
    ),
    "paper": Profile(240, 150, 48, 5, 1, 6, Schedule(epochs=150)),
}
NOISE_FREE = {"brain": "head", "cardiac": "heart"}  # phantoms without noise in the target
