# Nothing is learnt.
total, steps = 0.0, 0
for inputs, targets in batches:
    value = loss(model(inputs), targets)
    optimizer.zero_grad()
    value.backward()
    total += value.item()
    steps += 1
if steps == 0:
    raise ValueError("train_epoch: there is no batch")
return total / steps
