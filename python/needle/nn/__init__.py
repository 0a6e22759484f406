"""Layers, losses, initial values, gradient clipping (lesson 5)."""

from .._core import (
    GELU,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    Module,
    ReLU,
    RMSNorm,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
)
from . import init, utils
from ._attention import MultiHeadAttention, TransformerBlock
from ._images import AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, MaxPool2d
from ._modules import CrossEntropyLoss, Identity, ModuleList, MSELoss, Parameter, Softmax
from ._recurrent import LSTM, RNN, LSTMCell, RNNCell

__all__ = [
    "GELU",
    "LSTM",
    "RNN",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "Identity",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "MultiHeadAttention",
    "Parameter",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "TransformerBlock",
    "init",
    "utils",
]
