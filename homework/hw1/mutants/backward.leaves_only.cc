// Inner nodes that asked for their gradient are forgotten.
for (Node* node : order) {
  const auto found = pending.find(node);
  if (found == pending.end()) continue;  // no gradient flows here
  Tensor dy = run_hooks(*node, std::move(found->second));
  pending.erase(found);
  if (node->inputs.empty()) {
    deliver(*node, std::move(dy), captured);
    continue;
  }
  Tensors partial = input_gradients(*node, dy);
  for (size_t i = 0; i < partial.size(); ++i) {
    if (!partial[i].defined()) continue;
    accumulate(pending[node->inputs[i].node.get()], std::exchange(partial[i], Tensor()));
  }
  if (!keep) node->use_up();
}
