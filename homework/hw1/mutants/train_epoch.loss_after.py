# Each loss as it is after its step.
total, steps = 0.0, 0
for inputs, targets in batches:
    value = loss(model(inputs), targets)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    total += loss(model(inputs), targets).item()
    steps += 1
if steps == 0:
    raise ValueError("train_epoch: there is no batch")
return total / steps
