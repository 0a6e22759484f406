# Never clears the gradients.
# ruff: noqa
total, steps = 0.0, 0
for inputs, targets in batches:
    value = loss(model(inputs), targets)
    value.backward()
    optimizer.step()
    total += value.item()
    steps += 1
return total / steps
