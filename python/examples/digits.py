"""Trains a small network on scikit-learn's handwritten digits (lesson 5): python digits.py."""

import needle as ndl
from needle import nn


class MLP(nn.Module):
    """64 pixels -> 128 -> 10 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, images: ndl.Tensor) -> ndl.Tensor:
        """images (n, 64) -> logits (n, 10)."""
        return self.layers(images)


ndl.manual_seed(0)
train = ndl.data.DataLoader(ndl.data.digits("train"), batch_size=32, shuffle=True)
images, labels = ndl.data.digits("test").tensors
model = MLP()
optimizer = ndl.optim.AdamW(model.parameters(), lr=3e-3)
schedule = ndl.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=15)

for epoch in range(15):
    loss = ndl.training.train_epoch(model, train, ndl.cross_entropy, optimizer)
    schedule.step()
    print(f"epoch {epoch + 1:2}: loss {loss:.4f}")

print(f"test accuracy {100 * ndl.training.accuracy(model, images, labels):.1f} %")
