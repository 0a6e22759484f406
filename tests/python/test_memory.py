"""A training step that has run before asks the operating system for nothing."""

import resource

import numpy as np

import needle as ndl


def decoder_step():
    config = ndl.transformer.Config(
        vocab_size=300, hidden_size=96, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2)  # fmt: skip
    model = ndl.transformer.Decoder(config)
    optimizer = ndl.optim.AdamW(model.parameters(), lr=1e-3)
    tokens = ndl.tensor(np.arange(4 * 128).reshape(4, 128) * 7919 % 300)
    labels = tokens.reshape(-1)

    def step() -> None:
        loss = ndl.cross_entropy(model(tokens).reshape((-1, 300)), labels)
        loss.backward()
        ndl.nn.utils.clip_grad_norm_(list(model.parameters()), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def faults() -> int:
    """How often this process was given a page of memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def test_a_step_needs_no_new_memory():
    step = decoder_step()
    for _ in range(5):
        step()
    # One step makes some 10 MB of arrays: 2,500 pages, if each were asked for.
    counts = []
    for _ in range(10):
        before = faults()
        step()
        counts.append(faults() - before)
    assert sorted(counts)[5] <= 10, counts
