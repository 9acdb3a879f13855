"""Optimizers with Keras' names, arguments, defaults and formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from cnnfast import multipliers, schedules
from cnnfast.configurable import describe
from cnnfast.graph.values import Graph, HostVariable, Spec, Value, Variable
from cnnfast.ops import optimizer as update_ops
from cnnfast.registry import Registry

OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")

_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


class Optimizer:
    """Base of all optimizers.

    Args:
        learning_rate: a number, or a schedule: a callable from the step number (from 0) to a rate.
        weight_decay: before each step a weight loses this fraction, times the learning rate, of itself. None: nothing.
        clipnorm: each gradient is scaled down to at most this Euclidean norm.
        clipvalue: each element of a gradient is clipped to [-clipvalue, clipvalue].
        global_clipnorm: all gradients together are scaled down to at most this norm. At most one of the three.
        name: for messages.
        learning_rate_multipliers: factors of the learning rate by names of layers or models, or by what such names
            begin with before an underscore; the rest learns at the plain rate. A layer's own name counts before that of
            the model it is in, a longer one before a shorter. May be assigned between steps.

    Raises:
        TypeError, ValueError: a number out of range, more than one way of clipping.

    Example:
        >>> optimizer = Adam(1e-3, learning_rate_multipliers={"vgg16": 0.01, "block5": 0.1})
    """

    #: names of the variables an optimizer keeps for each weight
    slot_names: tuple[str, ...] = ()

    def __init__(
        self,
        learning_rate: Any,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "optimizer",
        learning_rate_multipliers: Mapping[str, float] | None = None,
    ):
        limits = zip(_CLIPPING, (clipnorm, clipvalue, global_clipnorm), strict=True)
        given = {what: value for what, value in limits if value is not None}
        if len(given) > 1:
            raise ValueError(f"{name}: give at most one of {', '.join(_CLIPPING)}, got {' and '.join(given)}")
        for what, value in given.items():
            _positive(name, what, value)
        if weight_decay is not None and not (np.isfinite(weight_decay) and weight_decay >= 0):
            raise ValueError(f"{name}: weight_decay must be at least 0, got {weight_decay!r}")
        self.name = name
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.iterations = 0
        self._schedule: Callable[[int], float] | None = None
        self._rate = 0.0
        self.learning_rate = learning_rate
        self.learning_rate_multipliers = learning_rate_multipliers
        self._hypers: dict[tuple[float, bool], HostVariable] = {}  # by the factor of the rate and whether weights decay
        self._slots: dict[Variable, dict[str, Variable]] = {}
        self._undecayed: set[Variable] = set()
        self._undecayed_names: list[str] = []
        self._waiting_state: list[np.ndarray] | None = None

    # The learning rate

    @property
    def learning_rate(self) -> float:
        """The rate of the next step. Assigning a number or a schedule takes effect at once."""
        return self._rate if self._schedule is None else self._checked_rate(self._schedule(self.iterations))

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, dict):
            value = schedules.get(value)
        if callable(value):
            self._schedule = value
            return
        self._schedule, self._rate = None, self._checked_rate(value)

    def _checked_rate(self, value: Any) -> float:
        if isinstance(value, str) or not hasattr(value, "__float__"):
            raise TypeError(f"{self.name}: learning_rate must be a number or a schedule, got {value!r}")
        rate = float(value)
        if not np.isfinite(rate) or rate < 0:
            raise ValueError(f"{self.name}: learning_rate must be a finite number of at least 0, got {value!r}")
        return rate

    @property
    def lr(self) -> float:
        """`learning_rate` under the name it had in Keras 2, for reading."""
        return self.learning_rate

    @property
    def schedule(self) -> Callable[[int], float] | None:
        """The schedule, if the learning rate follows one."""
        return self._schedule

    @property
    def learning_rate_multipliers(self) -> Mapping[str, float]:
        """Factors of the learning rate by names of layers. Assigning a dict takes effect at the next step."""
        return MappingProxyType(self._multipliers)

    @learning_rate_multipliers.setter
    def learning_rate_multipliers(self, value: Mapping[str, float] | None) -> None:
        self._multipliers = multipliers.checked(f"{self.name}: learning_rate_multipliers", value)
        self.multipliers_key = tuple(self._multipliers.items())  # of the Programs that were made with them

    # The state

    def build(self, variables: Sequence[Variable]) -> None:
        """Creates the slots of those variables that have none yet."""
        for v in variables:
            if v not in self._slots:
                self._slots[v] = {
                    s: Variable(np.zeros(v.shape), f"{v.name}/{s}", trainable=False) for s in self._used_slots()
                }
                if any(name in v.name for name in self._undecayed_names):
                    self._undecayed.add(v)
        if self._waiting_state is not None:
            state, self._waiting_state = self._waiting_state, None
            self.set_slot_values(state)

    def _used_slots(self) -> tuple[str, ...]:
        return self.slot_names

    @property
    def variables(self) -> list[Variable]:
        """All slots, in the order in which the weights were first seen."""
        return [s for slots in self._slots.values() for s in slots.values()]

    def slots_of(self, variable: Variable) -> dict[str, Variable]:
        """The slots of one weight by name; empty before `build` has seen it."""
        return self._slots.get(variable, {})

    def slot_specs(self, variable: Variable) -> dict[str, Spec]:
        """Which slots a weight has, or gets from `build`."""
        return {slot: Spec(variable.shape) for slot in self._used_slots()}

    def decays(self, variable: Variable) -> bool:
        """Whether weight decay, if there is any, touches a weight."""
        named = any(name in variable.name for name in self._undecayed_names)
        return not named and variable not in self._undecayed

    def set_slot_values(self, values: Sequence[np.ndarray]) -> None:
        """Sets all slots, as `variables` orders them; before the first step they wait until the slots exist.

        Raises:
            ValueError: another number of arrays, or an array of another shape; nothing has changed then.
        """
        if not self._slots:
            self._waiting_state = [np.array(v, dtype=np.float32) for v in values]
            return
        slots = self.variables
        if len(values) != len(slots):
            raise ValueError(f"{self.name}: expected {len(slots)} slots, got {len(values)}")
        for slot, value in zip(slots, values, strict=True):
            if np.shape(value) != slot.shape:
                raise ValueError(f"{slot.name}: expected shape {slot.shape}, got {np.shape(value)}")
        for slot, value in zip(slots, values, strict=True):
            slot.assign(value)

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Names variables (or parts of names, such as "bias") that weight decay leaves alone; before training."""
        self._undecayed.update(var_list or [])
        self._undecayed_names.extend(var_names or [])
        for v in self._slots:
            if any(name in v.name for name in self._undecayed_names):
                self._undecayed.add(v)

    def without_state(self) -> Optimizer:
        """Another optimizer with the same settings, for the same weights, that has made no step yet.

        In place of a schedule it has a plain number: a schedule may be a function, which no configuration can hold.
        """
        schedule, self._schedule = self._schedule, None
        try:
            other = type(self).from_config(self.get_config())
        finally:
            self._schedule = schedule
        other._undecayed, other._undecayed_names = set(self._undecayed), list(self._undecayed_names)
        return other

    # The step

    def prepare_step(self) -> None:
        """Writes the numbers of the next step where the kernels read them."""
        rate = self.learning_rate
        for (factor, decays), hyper in self._hypers.items():
            numbers = self._numbers(factor * rate)
            decay = factor * rate * (self.weight_decay or 0.0) if decays else 0.0
            hyper._value[: 1 + len(numbers)] = [decay, *numbers]
            hyper.changed()

    def finish_step(self) -> None:
        """Counts a step that was made."""
        self.iterations += 1

    def _numbers(self, rate: float) -> list[float]:
        """What the kernel reads after the decay (see cpp/include/cnnfast/kernels/optimizer.hpp)."""
        raise TypeError(f"{type(self).__name__}: an optimizer must define _numbers()")

    def _hyper(self, factor: float, decays: bool) -> HostVariable:
        """The numbers that the kernels read for weights of this factor: `prepare_step` writes them."""
        key = (factor, decays)
        if key not in self._hypers:
            self._hypers[key] = HostVariable(np.zeros(8), f"{self.name}/hyper", trainable=False)
        return self._hypers[key]

    def update_ops(
        self,
        graph: Graph,
        variables: Sequence[Variable],
        gradients: Sequence[Value],
        factors: Mapping[Variable, float] | None = None,
    ) -> None:
        """Adds the nodes of one step to a graph, with factors of the learning rate for some of the variables.

        Called once for each Program, after `build`.
        """
        common = None
        if self.global_clipnorm is not None:
            common = update_ops.clip_scale(gradients, self.global_clipnorm)
        for w, dw in zip(variables, gradients, strict=True):
            scale = common if self.clipnorm is None else update_ops.clip_scale([dw], self.clipnorm)
            slots = self._slots[w]
            hyper = self._hyper((factors or {}).get(w, 1.0), w not in self._undecayed)
            self._update(
                graph.variable(w), dw, graph.variable(hyper), [slots.get(s) for s in self.slot_names],
                grad_scale=scale, clip_value=self.clipvalue or 0.0,
            )  # fmt: skip

    def _update(self, w: Any, dw: Any, hyper: Any, slots: list[Variable | None], **options: Any) -> None:
        raise TypeError(f"{type(self).__name__}: an optimizer must define _update()")

    # Files

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them. ValueError for a schedule that no file can hold."""
        rate: Any = self._rate
        if self._schedule is not None:
            rate = schedules.serialize(self._schedule)
        return {
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
            "name": self.name,
            "learning_rate_multipliers": dict(self._multipliers),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        return cls(**config)


def _fraction(name: str, what: str, value: float) -> float:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name}: {what} must lie in [0, 1), got {value!r}")
    return float(value)


def _positive(name: str, what: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name}: {what} must be a positive number, got {value!r}")
    return float(value)


@OPTIMIZERS.add
class SGD(Optimizer):
    """w += velocity, velocity = momentum * velocity - learning_rate * dw; nesterov looks one step ahead.

    Args:
        learning_rate: default 0.01.
        momentum: in [0, 1); default 0, plain gradient descent.
        nesterov: Nesterov's momentum (Sutskever et al. 2013).
        weight_decay, clipnorm, clipvalue, global_clipnorm, name, learning_rate_multipliers: see `Optimizer`.
    """

    slot_names = ("momentum",)

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "SGD",
        learning_rate_multipliers: Mapping[str, float] | None = None,
    ):
        super().__init__(
            learning_rate, weight_decay=weight_decay, clipnorm=clipnorm, clipvalue=clipvalue,
            global_clipnorm=global_clipnorm, name=name, learning_rate_multipliers=learning_rate_multipliers,
        )  # fmt: skip
        self.momentum = _fraction(name, "momentum", momentum)
        self.nesterov = bool(nesterov)

    def _used_slots(self) -> tuple[str, ...]:
        return self.slot_names if self.momentum else ()

    def _numbers(self, rate: float) -> list[float]:
        return [rate, self.momentum]

    def _update(self, w: Any, dw: Any, hyper: Any, slots: list[Variable | None], **options: Any) -> None:
        update_ops.update(update_ops.SGD_UPDATE, w, dw, hyper, slots, nesterov=self.nesterov, **options)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


@OPTIMIZERS.add
class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square (Kingma and Ba, 2015).

    Args:
        learning_rate: default 0.001.
        beta_1, beta_2: decay of the two means; defaults 0.9, 0.999.
        epsilon: added to the root of the mean square, before the bias correction as in Keras; default 1e-7.
        amsgrad: divide by the largest mean square so far (Reddi et al. 2018).
        weight_decay, clipnorm, clipvalue, global_clipnorm, name, learning_rate_multipliers: see `Optimizer`.
    """

    slot_names = ("m", "v", "v_max")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adam",
        learning_rate_multipliers: Mapping[str, float] | None = None,
    ):
        super().__init__(
            learning_rate, weight_decay=weight_decay, clipnorm=clipnorm, clipvalue=clipvalue,
            global_clipnorm=global_clipnorm, name=name, learning_rate_multipliers=learning_rate_multipliers,
        )  # fmt: skip
        self.beta_1 = _fraction(name, "beta_1", beta_1)
        self.beta_2 = _fraction(name, "beta_2", beta_2)
        self.epsilon = _positive(name, "epsilon", epsilon)
        self.amsgrad = bool(amsgrad)

    def _used_slots(self) -> tuple[str, ...]:
        return self.slot_names if self.amsgrad else self.slot_names[:2]

    def _numbers(self, rate: float) -> list[float]:
        t = self.iterations + 1
        step = rate * np.sqrt(1.0 - self.beta_2**t) / (1.0 - self.beta_1**t)
        return [step, 1.0 - self.beta_1, 1.0 - self.beta_2, self.epsilon]

    def _update(self, w: Any, dw: Any, hyper: Any, slots: list[Variable | None], **options: Any) -> None:
        update_ops.update(update_ops.ADAM_UPDATE, w, dw, hyper, slots, **options)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


@OPTIMIZERS.add
class AdamW(Adam):
    """Adam with decoupled weight decay, 0.004 by default (Loshchilov and Hutter, 2019). Arguments as `Adam`."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adamw",
        learning_rate_multipliers: Mapping[str, float] | None = None,
    ):
        if weight_decay is None:
            raise ValueError(f"{name}: weight_decay must be a number; for none use Adam")
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            name,
            learning_rate_multipliers,
        )


@OPTIMIZERS.add
class RMSprop(Optimizer):
    """Steps divided by the root of a running mean square (Tieleman and Hinton, 2012).

    Args:
        learning_rate: default 0.001.
        rho: decay of the mean square; default 0.9.
        momentum: in [0, 1); default 0.
        epsilon: added to the mean square, under the root as in Keras; default 1e-7.
        centered: divide by the running variance instead (Graves 2013).
        weight_decay, clipnorm, clipvalue, global_clipnorm, name, learning_rate_multipliers: see `Optimizer`.
    """

    slot_names = ("mean_square", "momentum", "mean")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "rmsprop",
        learning_rate_multipliers: Mapping[str, float] | None = None,
    ):
        super().__init__(
            learning_rate, weight_decay=weight_decay, clipnorm=clipnorm, clipvalue=clipvalue,
            global_clipnorm=global_clipnorm, name=name, learning_rate_multipliers=learning_rate_multipliers,
        )  # fmt: skip
        self.rho = _fraction(name, "rho", rho)
        self.momentum = _fraction(name, "momentum", momentum)
        self.epsilon = _positive(name, "epsilon", epsilon)
        self.centered = bool(centered)

    def _used_slots(self) -> tuple[str, ...]:
        wanted = (True, bool(self.momentum), self.centered)
        return tuple(s for s, w in zip(self.slot_names, wanted, strict=True) if w)

    def _numbers(self, rate: float) -> list[float]:
        return [rate, self.rho, self.momentum, self.epsilon]

    def _update(self, w: Any, dw: Any, hyper: Any, slots: list[Variable | None], **options: Any) -> None:
        update_ops.update(update_ops.RMSPROP_UPDATE, w, dw, hyper, slots, **options)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }


for _class in (SGD, Adam, AdamW, RMSprop):
    OPTIMIZERS.add(_class, _class.__name__.lower())


def get(identifier: Any) -> Optimizer:
    """An optimizer from its name, its description, its class, or itself.

    Raises:
        ValueError: an unknown name or arguments that do not fit. TypeError: anything else.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        return OPTIMIZERS.find(identifier)()  # type: ignore[call-arg]
    if isinstance(identifier, dict):
        try:
            return OPTIMIZERS.find(identifier.get("class_name")).from_config(identifier.get("config", {}))
        except TypeError as error:
            raise ValueError(f"optimizer {identifier.get('class_name')}: {error}") from error
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()  # type: ignore[call-arg]
    raise TypeError(f"optimizer: expected a name or an Optimizer, got {identifier!r}")


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """{"class_name", "config"} of an optimizer."""
    return describe(OPTIMIZERS, optimizer)
