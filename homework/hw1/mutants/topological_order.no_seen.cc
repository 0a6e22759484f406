// Nodes that are reached twice stand in the order twice.
std::vector<Node*> order(roots.begin(), roots.end());
for (size_t i = 0; i < order.size() && order.size() < 10'000'000; ++i) {
  for (const Node::Input& input : order[i]->inputs) {
    if (input.node) order.push_back(input.node.get());
  }
}
return order;
