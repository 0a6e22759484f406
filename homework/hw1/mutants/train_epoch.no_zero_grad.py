# The gradients of all batches add up.
total, steps = 0.0, 0
for inputs, targets in batches:
    value = loss(model(inputs), targets)
    value.backward()
    optimizer.step()
    total += value.item()
    steps += 1
if steps == 0:
    raise ValueError("train_epoch: there is no batch")
return total / steps
