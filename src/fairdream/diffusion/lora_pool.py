"""Many LoRA adapters on one frozen UNet: stacked weights, one batched product a layer, an AdamW a row.

Notable choices:

- A batch holds the images of adapter 0, then those of adapter 1, and so on, as many of each. No layer of the UNet mixes
  the images of a batch, so no adapter sees another's.
- Weights, gradients and AdamW's moments are one matrix each, one row per adapter; the layers' weights are views of it.
  So clipping and the update are a handful of operations whatever the number of layers, and a row is all that is saved.
- Projections that read the same input (query, key and value of a self-attention; key and value of a cross-attention)
  are one layer, where all of them have adapters: a step of few images is bounded by the number of operations.
- The formulas are peft's LoRA (Hu et al. 2021, eq. 3: W x + alpha / r B A x; B a 1 x 1 convolution where W is one) and
  torch's AdamW (Loshchilov & Hutter 2019), with the step count, the rate and the clipping norm of each adapter its own.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from fairdream.errors import UserError

BETAS = (0.9, 0.999)  # torch's defaults, as all of AdamW's that the configuration does not name
EPSILON = 1e-8
# float16's range is small: the loss is scaled up, down again at an overflow; the numbers are torch.amp.GradScaler's
SCALE, GROWTH, BACKOFF, GROWTH_EVERY = 65536.0, 2.0, 0.5, 2000


class StackedLora(nn.Module):
    """A frozen linear layer or convolution with n adapters' low-rank matrices; `a` and `b` are set by `Pool`.

    Parameters
    ----------
    base
        The layer: x (n * images, ..., in) -> (n * images, ..., out), or (n * images, in, h, w) -> (…, out, h', w'). Of
        k fused linear layers, the outputs lie side by side.
    scale
        alpha / r.
    """

    a: torch.Tensor  # (n, r, in) or (n, r, in, kernel, kernel); (n, k * r, in) of fused layers
    b: torch.Tensor  # (n, out, r) or (n, out, r, 1, 1); (n, k, out / k, r) of fused layers

    def __init__(self, base: nn.Linear | nn.Conv2d, scale: float):
        super().__init__()
        self.base = base
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output with each adapter's share added to its own images."""
        n, images = len(self.a), len(x) // len(self.a)
        if isinstance(self.base, nn.Linear):
            a, b = self.a.to(x.dtype), self.b.to(x.dtype)
            if b.ndim == 4:  # fused: block diagonal, (n, k * out, k * r), so that each layer sees its own A's rows
                b = torch.diag_embed(b.movedim(1, -1), dim1=1, dim2=3).flatten(3).flatten(1, 2)
            if images > 1:
                # a product per image, not an adapter: a GPU adds up the gradients of few long ones ten times as slowly
                a, b = (own[:, None].expand(-1, images, -1, -1).flatten(0, 1) for own in (a, b))
            rows = x if x.ndim == 3 else x.reshape(len(x), -1, x.shape[-1])  # (n * images, positions, in)
            out = self.base(rows).baddbmm_(torch.bmm(rows, a.mT), b.mT, alpha=self.scale)
            return out if x.ndim == 3 else out.reshape(*x.shape[:-1], -1)
        a, b, out, rank = self.a.to(x.dtype), self.b.to(x.dtype), self.base(x), self.a.shape[1]
        # a grouped convolution has a group an adapter, so the adapters go where channels are
        side_by_side = x.unflatten(0, (n, images)).transpose(0, 1).flatten(1, 2)  # (images, n * in, h, w)
        low = F.conv2d(side_by_side, a.flatten(0, 1), None, self.base.stride, self.base.padding, self.base.dilation, n)
        low = low.unflatten(1, (n, rank)).permute(1, 2, 0, 3, 4).flatten(2)  # (n, r, images * positions)
        share = torch.bmm(b.flatten(2).reshape(n, -1, rank), low) * self.scale
        height, width = out.shape[-2:]
        return out + share.unflatten(2, (images, height, width)).transpose(1, 2).flatten(0, 1)


class Pool:
    """The adapters that are trained together on one UNet, with their optimiser.

    Every adapter begins as peft's with ``init_lora_weights="gaussian"`` under the same seed: A normal with standard
    deviation 1 / r, B zero.

    Parameters
    ----------
    unet
        Frozen here, and its target layers are wrapped.
    target_modules
        Names, or ends of names, of linear layers and convolutions.
    n
        Number of adapters.
    half
        Whether the base computes in float16, which needs the loss scaled.

    Raises
    ------
    UserError
        When no layer has one of the names, or one that has is of another kind.
    """

    def __init__(
        self, unet: nn.Module, target_modules: list[str], rank: int, alpha: float, seed: int, n: int, half: bool = False
    ):
        wanted = [
            name
            for name, _ in unet.named_modules()
            if any(name == target or name.endswith(f".{target}") for target in target_modules)
        ]
        if not wanted:
            raise UserError(f"finetune.target_modules: the UNet has no layer named {' or '.join(target_modules)}")
        fused = _fuse(unet, wanted)
        unet.requires_grad_(False)
        layers: dict[str, list[str]] = {}  # a layer of the UNet as it is now -> those that it was
        for name in wanted:
            layers.setdefault(fused.get(name, name), []).append(name)
        self._shapes: dict[str, torch.Size] = {}  # of one adapter's matrices, in the order of its row
        self._views: list[tuple[StackedLora, str, torch.Size]] = []  # what the layers compute with, in the same order
        first: list[torch.Tensor] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name, own in layers.items():
                fresh = [_fresh(part, unet.get_submodule(part), rank) for part in own]
                base: Any = unet.get_submodule(name)  # of a kind that adapts: `_fresh` has looked
                stacked = StackedLora(base, alpha / rank)
                unet.set_submodule(name, stacked)
                a, b = ([pair[side] for pair in fresh] for side in (0, 1))
                self._shapes |= {f"{part}.lora_A.weight": matrix.shape for part, matrix in zip(own, a, strict=True)}
                self._shapes |= {f"{part}.lora_B.weight": matrix.shape for part, matrix in zip(own, b, strict=True)}
                self._views += [
                    (stacked, "a", torch.cat(a).shape),
                    (stacked, "b", torch.stack(b).shape if len(b) > 1 else b[0].shape),
                ]
                first += [matrix.flatten() for matrix in (*a, *b)]
        device = next(unet.parameters()).device
        weights = torch.cat(first).to(device).repeat(n, 1)
        self.state = {  # one row per adapter; float32 whatever the base's type
            "weight": weights,
            "exp_avg": torch.zeros_like(weights),
            "exp_avg_sq": torch.zeros_like(weights),
            # float64: 1 - 0.999^t of a small t loses digits
            "updates": torch.zeros(n, 1, dtype=torch.float64, device=device),
        }
        if half:
            self.state |= {"scale": torch.full((n, 1), SCALE, device=device)}
            self.state |= {"finite": torch.zeros(n, 1, device=device)}  # updates since the last overflow
        self._make_views()

    def __len__(self) -> int:
        return len(self.state["weight"])

    def row(self, index: int) -> dict[str, torch.Tensor]:
        """Return a copy of all that an adapter's training hangs on, but its step, on the CPU."""
        return {key: value[index].detach().to("cpu", copy=True) for key, value in self.state.items()}

    def load_row(self, index: int, row: dict[str, torch.Tensor]) -> None:
        """Take up what `row` gave."""
        with torch.no_grad():
            for key, value in self.state.items():
                value[index].copy_(row[key])

    def adapter(self, index: int) -> dict[str, torch.Tensor]:
        """Return the weights of one adapter under peft's names, on the CPU."""
        weights = self.state["weight"][index].cpu().split([shape.numel() for shape in self._shapes.values()])
        return {name: own.view(shape).clone() for (name, shape), own in zip(self._shapes.items(), weights, strict=True)}

    def gradient(self, index: int) -> torch.Tensor:
        """Return the gradient of one adapter (parameters,), in the order of its row."""
        return self._gradients[index]

    def keep(self, indices: list[int]) -> None:
        """Let the adapters that are not named leave."""
        self.state = {key: value[indices].clone() for key, value in self.state.items()}
        self._make_views()

    def backward(self, losses: torch.Tensor) -> None:
        """Add up the gradients of each adapter's loss (n,)."""
        scale = self.state["scale"][:, 0] if "scale" in self.state else 1.0
        with warnings.catch_warnings():
            # one row per adapter is the layout that is wanted: the gradients are added in place, into one matrix
            warnings.filterwarnings("ignore", message="grad and param do not obey")
            (losses * scale).sum().backward()

    @torch.no_grad()
    def update(self, rates: torch.Tensor, weight_decay: float, max_norm: float) -> None:
        """Clip each adapter's gradient to a norm, make AdamW's step with its rate (n,), and forget the gradient."""
        state, gradient = self.state, self._gradients
        weight, mean, square, updates = (state[key] for key in ("weight", "exp_avg", "exp_avg_sq", "updates"))
        rate = rates.to(gradient.device, torch.float64)[:, None]
        before = None
        if "scale" in state:
            gradient.div_(state["scale"])
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        if "scale" in state:
            finite = norm.isfinite()
            before = [value.clone() for value in (weight, mean, square, updates)]
        gradient.mul_((max_norm / (norm + 1e-6)).clamp_(max=1.0))
        updates.add_(1)
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        first = (rate / (1 - BETAS[0] ** updates)).float()
        second = (1 - BETAS[1] ** updates).sqrt().float()
        weight.mul_((1 - rate * weight_decay).float())
        weight.sub_((mean * first).div_(square.sqrt().div_(second).add_(EPSILON)))
        if before is not None:
            for value, old in zip((weight, mean, square, updates), before, strict=True):
                torch.where(finite, value, old, out=value)
            count = torch.where(finite, state["finite"] + 1, torch.zeros_like(state["finite"]))
            state["scale"].mul_(torch.where(finite, torch.where(count >= GROWTH_EVERY, GROWTH, 1.0), BACKOFF))
            state["finite"].copy_(torch.where(count >= GROWTH_EVERY, torch.zeros_like(count), count))
        gradient.zero_()

    def _make_views(self) -> None:
        """Hand every layer its part of the weights, each a leaf whose gradient is a part of one matrix."""
        weights = self.state["weight"]
        self._gradients = torch.zeros_like(weights)
        at = 0
        for layer, name, shape in self._views:
            part = slice(at, at + shape.numel())
            view = weights[:, part].unflatten(1, shape).requires_grad_()
            view.grad = self._gradients[:, part].unflatten(1, shape)
            setattr(layer, name, view)
            at = part.stop


def _fuse(unet: Any, wanted: list[str]) -> dict[str, str]:
    """Fuse projections of attentions as diffusers does; return the layer that each of them is part of now.

    Only where all projections of all attentions are wanted, and the attentions are the plain ones, whose processor
    diffusers has a twin of.
    """
    from diffusers.models.attention_processor import Attention, AttnProcessor2_0

    attentions = {name: module for name, module in unet.named_modules() if isinstance(module, Attention)}
    names = {f"{name}.{own}" for name in attentions for own in ("to_q", "to_k", "to_v")}
    plain = all(
        type(module.processor) is AttnProcessor2_0 and module.inner_kv_dim == module.inner_dim
        for module in attentions.values()
    )
    if not attentions or not plain or not names.issubset(wanted):
        return {}
    with torch.random.fork_rng(devices=[]):
        unet.fuse_qkv_projections()
    return {
        f"{name}.{own}": f"{name}.{'to_kv' if module.is_cross_attention else 'to_qkv'}"
        for name, module in attentions.items()
        for own in (("to_k", "to_v") if module.is_cross_attention else ("to_q", "to_k", "to_v"))
    }


def _fresh(name: str, layer: nn.Module, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return new matrices as peft makes them: it draws each layer's own initialisation first, moving the stream."""
    a: nn.Linear | nn.Conv2d
    b: nn.Linear | nn.Conv2d
    if isinstance(layer, nn.Linear):
        a, b = nn.Linear(layer.in_features, rank, bias=False), nn.Linear(rank, layer.out_features, bias=False)
    elif isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros":
        conv: Any = layer  # torch types its sizes as tuples of any length
        a = nn.Conv2d(conv.in_channels, rank, conv.kernel_size, conv.stride, conv.padding, bias=False)
        b = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
    else:
        raise UserError(f"finetune.target_modules: {name} is a {type(layer).__name__}; only linear and 2D layers adapt")
    nn.init.normal_(a.weight, std=1 / rank)
    return a.weight.detach(), torch.zeros_like(b.weight)
