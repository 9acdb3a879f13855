"""Methods under the names they had in Keras 2, for programs and books that were written for it."""

from __future__ import annotations

from typing import Any


class OldNames:
    """Gives a model `fit_generator`, `evaluate_generator` and `predict_generator`.

    They take what `fit`, `evaluate` and `predict` take today, in Keras 2's order. `max_queue_size`, `workers` and
    `use_multiprocessing` are without effect: a `PyDataset` says itself how many threads make its batches.
    """

    fit: Any
    evaluate: Any
    predict: Any

    def fit_generator(
        self,
        generator: Any,
        steps_per_epoch: int | None = None,
        epochs: int = 1,
        verbose: int | str = 1,
        callbacks: Any = None,
        validation_data: Any = None,
        validation_steps: int | None = None,
        validation_freq: Any = 1,
        class_weight: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        shuffle: bool = True,
        initial_epoch: int = 0,
    ) -> Any:
        """`fit` of batches; see there.

        Example:
            >>> batches = ((x, y) for _ in range(4))
            >>> history = model.fit_generator(batches, steps_per_epoch=2, epochs=2, verbose=0)
            >>> len(history.history["loss"])
            2
        """
        return self.fit(
            generator,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_freq=validation_freq,
        )

    def evaluate_generator(
        self,
        generator: Any,
        steps: int | None = None,
        callbacks: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        verbose: int | str = 0,
    ) -> Any:
        """`evaluate` of batches; see there."""
        return self.evaluate(generator, steps=steps, callbacks=callbacks, verbose=verbose)

    def predict_generator(
        self,
        generator: Any,
        steps: int | None = None,
        callbacks: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        verbose: int | str = 0,
    ) -> Any:
        """`predict` of batches; see there."""
        return self.predict(generator, steps=steps, callbacks=callbacks, verbose=verbose)
