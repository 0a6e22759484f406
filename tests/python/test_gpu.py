"""The library on a GPU and on the simulator of one: the same programs, the same numbers."""

import numpy as np
import pytest

import needle as ndl
from needle.transformer import Config, Decoder, KVCache

DEVICES = ["cuda_sim"] + (["cuda"] if ndl.cuda.is_available() else [])
no_gpu = pytest.mark.skipif(ndl.cuda.is_available(), reason="there is a GPU")


@pytest.fixture(params=DEVICES)
def device(request) -> str:
    return request.param


def config() -> Config:
    return Config(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )


def losses_of_training(device: str, steps: int = 20) -> list[float]:
    ndl.manual_seed(3)
    model = Decoder(config())
    model.to(device)
    optimizer = ndl.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    tokens = np.random.default_rng(0).integers(0, 61, (4, 3, 17))
    losses = []
    for step in range(steps):
        batch = tokens[step % 4]
        logits = model(ndl.tensor(batch[:, :-1]).to(device))
        loss = ndl.cross_entropy(
            logits.reshape(-1, 61), ndl.tensor(batch[:, 1:].reshape(-1)).to(device)
        )
        optimizer.zero_grad()
        loss.backward()
        ndl.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_decoder_trains_as_on_the_cpu(device):
    want = losses_of_training("cpu")
    got = losses_of_training(device)
    assert want[-1] < want[0] - 0.5
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_a_decoder_with_a_cache_continues_as_without(device):
    ndl.manual_seed(5)
    model = Decoder(config())
    tokens = ndl.tensor(np.random.default_rng(1).integers(0, 61, (2, 11)))
    with ndl.no_grad():
        want = model(tokens).numpy()
        model.to(device)
        cache = KVCache(config(), 16, batch=2, device=device)
        on_device = tokens.to(device)
        parts = [model(on_device[:, :7], cache)]
        parts += [model(on_device[:, i : i + 1], cache) for i in range(7, 11)]
        got = np.concatenate([part.to("cpu").numpy() for part in parts], 1)
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def test_the_same_bits_each_time(device):
    assert losses_of_training(device, 5) == losses_of_training(device, 5)


def test_random_numbers_are_those_of_the_cpu(device):
    def draw(where):
        ndl.manual_seed(11)
        return ndl.rand((5, 7), device=where).to("cpu").numpy()

    np.testing.assert_array_equal(draw(device), draw("cpu"))


def test_what_the_host_does_works_on_arrays_of_the_device(device):
    a = np.random.default_rng(2).standard_normal((5, 9)).astype(np.float32)
    x = ndl.tensor(a).to(device)
    values, indices = ndl.sort(x, 1)
    np.testing.assert_array_equal(values.to("cpu").numpy(), np.sort(a, 1))
    np.testing.assert_array_equal(indices.to("cpu").numpy(), np.argsort(a, 1, kind="stable"))
    top, _ = ndl.topk(x, 3, 1)
    np.testing.assert_array_equal(top.to("cpu").numpy(), -np.sort(-a, 1)[:, :3])
    np.testing.assert_array_equal(x[x > 0].to("cpu").numpy(), a[a > 0])
    np.testing.assert_array_equal(x[[3, 0], 1:].to("cpu").numpy(), a[[3, 0], 1:])
    x[1, ::2] = 0
    a[1, ::2] = 0
    np.testing.assert_array_equal(x.to("cpu").numpy(), a)
    assert x[2, 3].item() == a[2, 3]
    assert x.tolist() == a.tolist()
    assert repr(x[:2, :2].to("cpu"))[:40] == repr(x[:2, :2])[:40]
    assert f"device='{device}'" in repr(x)


def test_images(device):
    rng = np.random.default_rng(4)
    a, w = rng.standard_normal((2, 3, 8, 9)), rng.standard_normal((4, 3, 3, 3))

    def gradients(where):
        x = ndl.tensor(a).to(where).detach().requires_grad_()
        k = ndl.tensor(w).to(where).detach().requires_grad_()
        y = ndl.max_pool2d(ndl.conv2d(x, k, padding=1).relu(), 2)
        (y * y).sum().backward()
        return [t.to("cpu").numpy() for t in (y.detach(), x.grad, k.grad)]

    for got, want in zip(gradients(device), gradients("cpu"), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def of_rows(where, operands):
    """What the functions of rows give, and their gradients, in float64."""

    def leaf(a):
        return ndl.tensor(a).to(where).detach().requires_grad_()

    x, slopes, weight, bias = operands
    found = []
    for f, *others in (
        (lambda x: ndl.softmax(x, -1),),
        (lambda x: ndl.log_softmax(x, -1),),
        (lambda x, w, b: ndl.layer_norm(x, w, b, 1e-5), weight, bias),
        (lambda x, w: ndl.rms_norm(x, w, 1e-5), weight),
    ):
        inputs = [leaf(a) for a in (x, *others)]
        y = f(*inputs)
        (y * ndl.tensor(slopes).to(where)).sum().backward()
        found += [y.detach(), *(t.grad for t in inputs)]
    return [t.to("cpu").numpy().astype(np.float64) for t in found]


@pytest.mark.parametrize("watch", [False, True], ids=["clusters", "watched"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape", [(19, 4100), (7, 9001), (9, 20000), (2, 50257), (2, 70000)], ids=str
)
def test_long_rows(device, shape, dtype, watch):
    """Rows that the registers of a block do not hold: blocks of a cluster share them. Without,
    as in the simulator while it watches, they are kept in shared memory, or read again."""
    rng = np.random.default_rng(7)
    operands = [rng.standard_normal(s).astype(dtype) for s in (shape, shape, shape[1], shape[1])]
    ndl.sim.clear()
    with ndl.sim.watch(check=watch, count=False):
        got = of_rows(device, operands)
    assert ndl.sim.report().findings == []
    close = 3e-5 if dtype is np.float32 else 1e-12
    for a, b in zip(got, of_rows("cpu", operands), strict=True):
        np.testing.assert_allclose(a, b, rtol=close, atol=close * np.abs(b).max())


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 7, 128, 129])
def test_short_rows(device, rows, n):
    """A warp has several of them: a thread without a row touches nobody's."""
    x = np.random.default_rng(3).standard_normal((rows, n)).astype(np.float32)
    ndl.sim.clear()
    found = []
    for where in ("cpu", device):
        t = ndl.tensor(x).to(where).detach().requires_grad_()
        with ndl.sim.watch(check=True, count=False):
            y = ndl.layer_norm(t, ndl.ones(n).to(where), ndl.ones(n).to(where), 1e-5)
            (y * y).sum().backward()
            classes = ndl.tensor(np.arange(rows) % max(n, 1)).to(where)
            parts = [y.detach(), t.grad]
            if n:
                loss = ndl.cross_entropy(t, classes)
                t.grad = None
                loss.backward()
                parts += [loss.detach(), t.grad]
        found.append([p.to("cpu").numpy() for p in parts])
    assert ndl.sim.report().findings == []
    for want, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4)


def test_devices_are_not_mixed(device):
    with pytest.raises(RuntimeError, match=rf"add: inputs on different devices, {device} and cpu"):
        ndl.ones(3).to(device) + ndl.ones(3)
    x = ndl.ones(3).to(device)
    x[:] = ndl.zeros(3)  # a copy, as to() is
    assert x.tolist() == [0, 0, 0]


def test_one_gpu():
    with pytest.raises(RuntimeError, match="CUDA_VISIBLE_DEVICES=1"):
        ndl.ones(3).to("cuda:1")


@no_gpu
def test_without_a_gpu_the_error_says_what_to_do():
    for use in (
        lambda: ndl.ones(2).to("cuda"),
        lambda: ndl.zeros(2, device="cuda"),
        ndl.cuda.device_name,
        ndl.cuda.synchronize,
        ndl.cuda.memory,
    ):
        with pytest.raises(RuntimeError, match=r"device cuda: .*cuda_sim"):
            use()
    assert ndl.ones(2).sum().item() == 2  # the process goes on


@pytest.mark.skipif(not ndl.cuda.is_available(), reason="there is no GPU")
def test_memory_of_a_gpu():
    before = ndl.cuda.memory()
    x = ndl.zeros(1 << 20, device="cuda")
    assert ndl.cuda.memory().in_use - before.in_use == 4 << 20
    del x
    assert ndl.cuda.memory().in_use == before.in_use
    ndl.cuda.empty_cache()
    assert ndl.cuda.memory().cached == 0
    with pytest.raises(MemoryError, match=r"cuda: out of memory: wanted .* MiB"):
        ndl.zeros(ndl.cuda.memory().total, device="cuda")
    assert ndl.zeros(3, device="cuda").sum().item() == 0
    with pytest.raises(RuntimeError, match=r'copy it with \.to\("cpu"\) first'):
        ndl.zeros(3, device="cuda").numpy()
