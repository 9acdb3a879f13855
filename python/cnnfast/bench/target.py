"""Where a benchmark computes, and in which types: what `--device` and `--policy` say."""

from __future__ import annotations

from dataclasses import dataclass

DEVICES = ("cpu", "cuda")
POLICIES = ("float32", "tensorfloat32", "mixed_bfloat16")


@dataclass(frozen=True)
class Target:
    """A device and a policy.

    Attributes:
        device: one of `DEVICES`.
        policy: one of `POLICIES`, as `cnnfast.config.set_policy` takes them.
    """

    device: str = "cpu"
    policy: str = "float32"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a worker's cnnfast finds both at its import, whatever the caller has set."""
        return {"CNNFAST_DEVICE": self.device, "CNNFAST_POLICY": self.policy}

    @property
    def arguments(self) -> list[str]:
        """What a worker's command line ends with; nothing on the CPU."""
        return [] if self.device == "cpu" else [self.device, self.policy]


CPU = Target()


def resolve(device: str, policy: str | None) -> Target:
    """The target that the two options name.

    Args:
        device: one of `DEVICES`.
        policy: one of `POLICIES`, or None: mixed_bfloat16 on a GPU, float32 on the CPU.

    Raises:
        ValueError: a policy that the device's peers do not have.

    Example:
        >>> resolve("cuda", None)
        Target(device='cuda', policy='mixed_bfloat16')
    """
    if device == "cpu" and policy not in (None, "float32"):
        raise ValueError(f"bench: on the CPU everything is compared in float32; --policy {policy} needs --device cuda")
    return Target(device, policy or ("float32" if device == "cpu" else "mixed_bfloat16"))
