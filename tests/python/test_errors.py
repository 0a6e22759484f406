"""Wrong use is answered by the right exception with one sentence that says what is wrong."""

import numpy as np
import pytest
import torch

import needle as ndl

x23 = ndl.ones(2, 3)
x4 = ndl.ones(4)
ids = ndl.tensor([0, 1])

TABLE = [
    ("matmul", lambda: ndl.ones(3, 4) @ ndl.ones(5, 6), ValueError, r"\(3, 4\).*\(5, 6\)"),
    ("matmul scalar", lambda: ndl.matmul(ndl.tensor(1.0), x4), ValueError, "matmul"),
    ("add", lambda: x23 + x4, ValueError, r"\(2, 3\).*\(4,\)"),
    ("add list", lambda: x23 - [1, 2, 3], TypeError, "list"),
    ("add str", lambda: x23 + "a", TypeError, "str"),
    ("add numbers", lambda: ndl.add(1, 2), TypeError, "add: expected tensors"),
    ("big int", lambda: ids + 2**80, ValueError, "64 bits"),
    ("huge int", lambda: x23 + 10**400, OverflowError, "too large"),
    ("torch", lambda: x23 + torch.ones(3), TypeError, "Tensor"),
    ("exp list", lambda: ndl.exp([1.0]), TypeError, r"got list.*needle.tensor"),
    ("exp none", lambda: ndl.exp(None), TypeError, "NoneType"),
    ("reshape", lambda: x23.reshape(4, 2), ValueError, r"6 elements.*\(4, 2\)"),
    ("permute", lambda: x23.permute(0, 0), ValueError, "permut"),
    ("transpose", lambda: x23.transpose(0, 2), IndexError, "transpose"),
    ("squeeze", lambda: x23.squeeze(0), ValueError, "squeeze"),
    ("broadcast", lambda: x23.broadcast_to(2, 4), ValueError, "broadcast"),
    ("axis", lambda: x23.sum(axis=2), IndexError, "sum"),
    ("axis twice", lambda: x23.sum((0, 0)), ValueError, "axis|axes"),
    ("axis type", lambda: x23.sum("0"), TypeError, "str"),
    ("axis and dim", lambda: x23.sum(axis=0, dim=0), TypeError, "axis or dim"),
    ("softmax axis", lambda: x23.softmax((0, 1)), TypeError, "one int"),
    ("concat", lambda: ndl.concat([x23, ndl.ones(3, 3)], 1), ValueError, "concat"),
    ("concat nothing", lambda: ndl.concat([]), ValueError, "concat"),
    ("stack", lambda: ndl.stack([x23, x4]), ValueError, "stack"),
    ("split", lambda: x23.split((1, 2)), ValueError, "split"),
    ("split 0", lambda: x23.split(0), ValueError, "split"),
    ("embedding", lambda: ndl.embedding(x23, ndl.tensor([2])), IndexError, "2"),
    ("embedding dtype", lambda: ndl.embedding(x23, x4), TypeError, "int64"),
    ("label", lambda: ndl.cross_entropy(x23, ndl.tensor([0, 3])), IndexError, "3"),
    ("labels", lambda: ndl.cross_entropy(x23, ndl.tensor([0])), ValueError, "cross_entropy"),
    ("label_smoothing", lambda: ndl.cross_entropy(x23, ndl.tensor([0, 1]), 1.5), ValueError, "1.5"),
    ("labels dtype", lambda: ndl.cross_entropy(x23, ndl.ones(2)), TypeError, "int64"),
    ("norm", lambda: ndl.rms_norm(x23, x4), ValueError, "rms_norm"),
    ("where", lambda: ndl.where(x23, x23, x23), TypeError, "bool"),
    ("dropout", lambda: x23.dropout(1.5), ValueError, "dropout"),
    ("heads", lambda: ndl.scaled_dot_product_attention(
        ndl.ones(1, 3, 2, 4), ndl.ones(1, 2, 2, 4), ndl.ones(1, 2, 2, 4)), ValueError, "heads"),
    ("rotary", lambda: ndl.rotary_embedding(ndl.ones(1, 1, 2, 3), x4, x4), ValueError, "rotary"),
    ("one_hot", lambda: ndl.one_hot(ndl.tensor([1.0]), 3), TypeError, "one_hot|int64"),
    ("arange", lambda: ndl.arange(0, 5, 0), ValueError, "step"),
    ("randint", lambda: ndl.randint(3, 3, (2,)), ValueError, "randint"),
    ("device", lambda: ndl.ones(2, device="gpu"), ValueError, "gpu"),
    ("device type", lambda: ndl.ones(2, device=3), TypeError, "device"),
    ("cuda", lambda: ndl.ones(2).to("cuda"), RuntimeError, "cuda"),
    ("devices", lambda: x4 + ndl.ones(4).to("reference"), RuntimeError, "cpu and reference"),
    ("dtype", lambda: ndl.ones(2, dtype="float17"), ValueError, "float17"),
    ("dtype as size", lambda: ndl.ones(2, ndl.float64), TypeError, "DType"),
    ("to", lambda: x4.to("gpu"), ValueError, "gpu"),
    ("dtype object", lambda: ndl.ones(2, dtype=object), TypeError, "dtype"),
    ("dtype none", lambda: ndl.ones(2, dtype=np.complex64), TypeError, "complex64"),
    ("ragged", lambda: ndl.tensor([[1, 2], [3]]), ValueError, "rectangle"),
    ("strings", lambda: ndl.tensor("abc"), TypeError, "str"),
    ("nothing", lambda: ndl.tensor(None), TypeError, "NoneType"),
    ("dictionary", lambda: ndl.tensor({"a": 1}), TypeError, "dict"),
    ("item", lambda: x23.item(), ValueError, r"\(2, 3\)"),
    ("truth", lambda: bool(x23), ValueError, "truth"),
    ("bool arithmetic", lambda: ndl.tensor([True]) + ndl.tensor([True]), TypeError, "bool"),
    ("threads", lambda: ndl.set_num_threads(0), ValueError, "thread"),
    ("linear", lambda: ndl.nn.Linear(3, 2)(x4), ValueError, "sizes 4 and 3"),
    ("linear size", lambda: ndl.nn.Linear(-3, 2), ValueError, "-3"),
    ("sequential", lambda: ndl.nn.Sequential(ndl.exp), TypeError, "Sequential"),
    ("optimiser", lambda: ndl.optim.SGD([], lr=0.1), ValueError, "SGD|optim|param"),
    ("optimiser data", lambda: ndl.optim.Adam([x4]), ValueError, "grad"),
    ("optimiser lr", lambda: ndl.optim.Adam([ndl.nn.Parameter(x4)], lr=-1), ValueError, "lr"),
    ("optimiser list", lambda: ndl.optim.AdamW([3]), TypeError, "int"),
    ("loader", lambda: ndl.data.DataLoader([1, 2], 0), ValueError, "batch_size"),
    ("dataset", lambda: ndl.data.TensorDataset(x4, x23), ValueError, r"\[4, 2\]"),
    ("digits", lambda: ndl.data.digits("some"), ValueError, "some"),
    ("forward", lambda: ndl.nn.Module()(x4), NotImplementedError, "forward"),
    ("config", lambda: ndl.transformer.Config(
        vocab_size=10, hidden_size=10, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=3), ValueError, "heads"),
    ("load", lambda: ndl.transformer.load_pretrained("/nowhere"), RuntimeError, "/nowhere"),
    ("safetensors", lambda: ndl.load_safetensors("/nowhere"), RuntimeError, "/nowhere"),
    ("vocabulary", lambda: ndl.text.Tokenizer.train("abc", vocab_size=100), ValueError, "vocab"),
    ("token id", lambda: ndl.text.Tokenizer.train("abc", 300).decode([999]), IndexError, "999"),
]  # fmt: skip


@pytest.mark.parametrize("attempt, kind, message", [row[1:] for row in TABLE],
                         ids=[row[0] for row in TABLE])  # fmt: skip
def test_error(attempt, kind, message):
    with pytest.raises(kind, match=message) as caught:
        attempt()
    assert caught.type is kind
    assert len(str(caught.value)) < 400


def test_a_class_without_super_init_is_an_error_not_a_crash(run_script):
    result = run_script("""
import needle as ndl
class Bad(ndl.nn.Module):
    def __init__(self):
        self.x = 1
try:
    Bad().parameters()
except TypeError as error:
    print("TypeError", "__init__" in str(error))
""")
    assert result.stdout == "TypeError True\n", result.stderr


def test_a_module_that_contains_itself(run_script):
    result = run_script("""
import needle as ndl
class Loop(ndl.nn.Module):
    def __init__(self):
        super().__init__()
        self.me = [ndl.nn.Sequential(self)]
for use in ("parameters", "state_dict", "train", "zero_grad", "forward"):
    try:
        m = Loop()
        getattr(m, use)() if use != "forward" else m(ndl.ones(1))
    except (RuntimeError, NotImplementedError) as error:
        print(use)
""")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.split()) == 5
